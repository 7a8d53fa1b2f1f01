// Client-side behaviour of post cards and pages; Gradio and the server do everything else.
// Texts are never parsed as HTML, and addresses are checked before they are opened.
(() => {
  "use strict";

  const status = document.createElement("div");
  status.className = "visually-hidden";
  status.setAttribute("role", "status");
  status.setAttribute("aria-live", "polite");

  // Let screen readers say a text.
  function announce(text) {
    if (text && status.textContent !== text) status.textContent = text;
  }

  function showOnButton(button, text, keep = false) {
    const label = button.dataset.label || button.textContent;
    button.dataset.label = label;
    button.textContent = text;
    announce(text);
    clearTimeout(button.timer);
    if (!keep) button.timer = setTimeout(() => (button.textContent = label), 4000);
  }

  async function send(address, values) {
    const response = await fetch(address, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(values),
    });
    if (response.ok) return response;
    const result = await response.json().catch(() => ({}));
    throw new Error(result.error || "Something went wrong; try again.");
  }

  // Type a text into a field, as a person would.
  function typeInto(field, text) {
    const type = field.matches("textarea") ? HTMLTextAreaElement : HTMLInputElement;
    Object.getOwnPropertyDescriptor(type.prototype, "value").set.call(field, text);
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  // Type a beginning into its field, and optionally write posts.
  function begin(text, write) {
    const field = document.querySelector("#prompt :is(input, textarea)");
    if (!field) return;
    typeInto(field, text);
    field.focus();
    if (write) setTimeout(() => document.querySelector("#write")?.click(), 200);
  }

  const actions = {
    async copy(button, card) {
      const text = button.dataset.text ?? card.querySelector(".post-text").textContent;
      await navigator.clipboard.writeText(text);
      showOnButton(button, "Copied");
    },
    async share(button) {
      try {
        await navigator.share({ text: button.dataset.text });
      } catch (error) {
        if (error.name !== "AbortError") throw error;
      }
    },
    async fill(button) {
      begin(button.dataset.fill, false);
    },
    async tag(button) {
      const on = button.getAttribute("aria-pressed") !== "true";
      const field = document.querySelector("#hashtag :is(input, textarea)");
      if (field) typeInto(field, on ? button.dataset.tag : "");
    },
    async dice() {
      const all = [...document.querySelectorAll("[data-fill]")].map((e) => e.dataset.fill);
      begin(["", ...all][Math.floor(Math.random() * (all.length + 1))], true);
    },
    async more(button, card) {
      begin(card.dataset.text.split(/\s+/).slice(0, 3).join(" ").slice(0, 200), true);
      window.scrollTo({ top: 0 });
    },
    async save(button, card) {
      showOnButton(button, "Making the picture…", true);
      const { bot, text, prompt } = card.dataset;
      const picture = await (await send("/do/draw", { bot, text, prompt })).blob();
      const link = document.createElement("a");
      link.href = URL.createObjectURL(picture);
      link.download = `${bot.split("~")[0]}.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60000);
      showOnButton(button, "Picture saved");
    },
    async rollback(button) {
      showOnButton(button, "Going back…", true);
      const { bot, version } = button.dataset;
      const { go } = await (await send("/do/rollback", { bot, version: Number(version) })).json();
      location.assign(go);
    },
    async example(button) {
      showOnButton(button, "Starting…", true);
      const { go } = await (await send("/do/example", {})).json();
      location.assign(go);
    },
    async picture(button, card) {
      showOnButton(button, "Making the picture…", true);
      await send("/do/picture", { ...card.dataset });
      showOnButton(button, "Picture set", true);
    },
    async favourite(button, card) {
      const on = button.getAttribute("aria-pressed") !== "true";
      await send("/do/favourite", { bot: card.dataset.bot, text: card.dataset.text, on });
      button.setAttribute("aria-pressed", String(on));
      announce(on ? "Marked as favourite" : "No longer a favourite");
    },
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    const card = button && button.closest(".post");
    if (!button || !Object.hasOwn(actions, button.dataset.do)) return;
    actions[button.dataset.do](button, card).catch((error) => showOnButton(button, error.message));
  });

  // Show which hashtag is chosen, also when it is typed.
  document.addEventListener("input", ({ target }) => {
    if (!target.closest?.("#hashtag")) return;
    const chosen = target.value.trim().replace(/^#/, "").toLowerCase();
    for (const chip of document.querySelectorAll("[data-tag]")) {
      chip.setAttribute("aria-pressed", String(chip.dataset.tag.toLowerCase() === chosen));
    }
  });

  // Gradio tells the server when a slider is let go, but not when keys move it.
  let moved = 0;
  document.addEventListener("keyup", ({ key, target }) => {
    if (!target.matches?.('input[type="range"]') || !/^(Arrow|Page|Home|End)/.test(key)) return;
    clearTimeout(moved);
    moved = setTimeout(() => target.dispatchEvent(new PointerEvent("pointerup", { bubbles: true })), 500);
  });

  // All cards are rendered again when another post arrives; keep their details open.
  const opened = new Set();
  const keyOf = (details) => `${details.className} ${details.closest(".post").dataset.text}`;
  document.addEventListener(
    "toggle",
    ({ target: details }) => {
      if (!details.matches?.(".post details")) return;
      if (details.open) opened.add(keyOf(details));
      else opened.delete(keyOf(details));
    },
    true,
  );

  // After a change of the page: announce it, and follow a redirect from the server.
  let redirected = false;
  let announced = "";
  function onChange() {
    if (!status.isConnected && document.body) document.body.append(status);
    for (const details of opened.size ? document.querySelectorAll(".post details") : []) {
      if (opened.has(keyOf(details))) details.open = true;
    }
    const visible = [...document.querySelectorAll("[data-say]")].filter((e) => e.offsetParent);
    const text = visible.map((element) => element.dataset.say).join(" ");
    if (text !== announced) announce((announced = text));
    const redirect = document.querySelector("[data-go]");
    if (redirect && !redirected && /^\/(?![/\\])/.test(redirect.dataset.go)) {
      redirected = true;
      location.assign(redirect.dataset.go);
    }
    const title = document.querySelector("h1.headline");
    if (title) document.title = `${title.textContent} · huggingtweets`;
    addMissingLabels();
    readDroppedFile();
    if (!navigator.share) return; // the share sheet of the device
    for (const button of document.querySelectorAll("[data-do='share'][hidden]")) {
      button.hidden = !button.dataset.text;
    }
  }

  // A file is read as soon as it has arrived; the field is emptied then.
  let dropped = false;
  function readDroppedFile() {
    const file = document.querySelector("#source .thumbnail-item");
    const button = document.querySelector("#source .submit-button:not(:disabled)");
    if (file && button && !dropped) button.click();
    dropped = Boolean(file && (button || dropped));
  }

  // Gradio leaves some fields without a label.
  function addMissingLabels() {
    for (const input of document.querySelectorAll('input[type="range"]:not([aria-label])')) {
      const label = input.closest(".block")?.querySelector("[data-testid='block-info'], label span");
      input.setAttribute("aria-label", label ? label.textContent.trim() : "Value");
    }
    document.querySelector("#source .submit-button")?.setAttribute("aria-label", "Preview");
    for (const region of document.querySelectorAll(".card-text:not([tabindex]), .card-text pre:not([tabindex])")) {
      if (region.scrollWidth > region.clientWidth) region.tabIndex = 0; // the keyboard can scroll it
    }
    for (const button of document.querySelectorAll("#newer button[aria-label]")) {
      if (button.textContent.trim()) button.removeAttribute("aria-label"); // which says otherwise
    }
    for (const input of document.querySelectorAll('input[type="file"]:not([aria-label])')) {
      input.setAttribute("aria-label", "A file with posts");
    }
  }

  let timer = 0;
  new MutationObserver(() => {
    if (timer) return;
    timer = setTimeout(() => {
      timer = 0;
      onChange();
    }, 100);
  }).observe(document.documentElement, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-say", "data-go", "disabled"] });

  // The page of a training reloads when the server is back after a restart.
  let lost = false;
  setInterval(async () => {
    if (!document.querySelector("[data-live]")) return;
    try {
      const response = await fetch("/ui/alive", { cache: "no-store" });
      if (response.ok && lost) location.reload();
    } catch {
      lost = true;
      announce("The connection to the server is lost; the training is safe. Reconnecting…");
    }
  }, 3000);
})();
