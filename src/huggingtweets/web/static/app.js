// What cards and pages do in the browser; everything else is Gradio's or the server's.
// Nothing here makes markup out of text: text goes in as text, addresses are checked.
(() => {
  "use strict";

  const status = document.createElement("div");
  status.className = "visually-hidden";
  status.setAttribute("role", "status");
  status.setAttribute("aria-live", "polite");

  function say(text) {
    if (text && status.textContent !== text) status.textContent = text;
  }

  function answer(button, text, stays = false) {
    const was = button.dataset.label || button.textContent;
    button.dataset.label = was;
    button.textContent = text;
    say(text);
    clearTimeout(button.due);
    if (!stays) button.due = setTimeout(() => (button.textContent = was), 4000);
  }

  async function post(address, values) {
    const reply = await fetch(address, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(values),
    });
    const told = await reply.json().catch(() => ({}));
    if (!reply.ok) throw new Error(told.error || "That did not work; try again.");
  }

  const acts = {
    async copy(button, card) {
      await navigator.clipboard.writeText(card.querySelector(".post-text").textContent);
      answer(button, "Copied");
    },
    async picture(button, card) {
      answer(button, "Drawing…", true);
      await post("/do/picture", { ...card.dataset });
      answer(button, "Is the picture", true);
    },
    async favourite(button, card) {
      const on = button.getAttribute("aria-pressed") !== "true";
      await post("/do/favourite", { bot: card.dataset.bot, text: card.dataset.text, on });
      button.setAttribute("aria-pressed", String(on));
      say(on ? "Marked as favourite" : "No longer a favourite");
    },
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    const card = button && button.closest(".post");
    if (!card || !Object.hasOwn(acts, button.dataset.do)) return;
    acts[button.dataset.do](button, card).catch((error) => answer(button, error.message));
  });

  // All cards are drawn anew when one more post arrives; what was opened on them stays open.
  const opened = new Set();
  const nameOf = (folded) => `${folded.className} ${folded.closest(".post").dataset.text}`;
  document.addEventListener(
    "toggle",
    ({ target: folded }) => {
      if (!folded.matches?.(".post details")) return;
      if (folded.open) opened.add(nameOf(folded));
      else opened.delete(nameOf(folded));
    },
    true,
  );

  // Say what changed to those who can't see it, and go where the server leads.
  let gone = false;
  function look() {
    if (!status.isConnected && document.body) document.body.append(status);
    for (const folded of opened.size ? document.querySelectorAll(".post details") : []) {
      if (opened.has(nameOf(folded))) folded.open = true;
    }
    const told = [...document.querySelectorAll("[data-say]")].filter((one) => one.offsetParent);
    const text = told.map((one) => one.dataset.say).join(" ");
    if (text !== look.last) say((look.last = text));
    const lead = document.querySelector("[data-go]");
    if (lead && !gone && /^\/(?![/\\])/.test(lead.dataset.go)) {
      gone = true;
      location.assign(lead.dataset.go);
    }
    const title = document.querySelector("h1.headline");
    if (title) document.title = `${title.textContent} · huggingtweets`;
    name();
  }

  // Labels that Gradio leaves out.
  function name() {
    for (const input of document.querySelectorAll('input[type="range"]:not([aria-label])')) {
      const label = input.closest(".block")?.querySelector("[data-testid='block-info'], label span");
      input.setAttribute("aria-label", label ? label.textContent.trim() : "Value");
    }
    document.querySelector("#source .submit-button")?.setAttribute("aria-label", "Look");
    for (const input of document.querySelectorAll('input[type="file"]:not([aria-label])')) {
      input.setAttribute("aria-label", "A file with posts");
    }
  }

  let due = 0;
  new MutationObserver(() => {
    if (due) return;
    due = setTimeout(() => {
      due = 0;
      look();
    }, 100);
  }).observe(document.documentElement, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-say", "data-go"] });

  // A page that watches a run comes back by itself when the server does.
  let lost = false;
  setInterval(async () => {
    if (!document.querySelector("[data-live]")) return;
    try {
      const reply = await fetch("/ui/alive", { cache: "no-store" });
      if (reply.ok && lost) location.reload();
    } catch {
      lost = true;
      say("The connection is lost; the training is safe. Trying again…");
    }
  }, 3000);
})();
