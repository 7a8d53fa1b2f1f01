// Writes posts in the visitor's browser: the model is loaded from beside this page and nothing is
// sent anywhere. A classic script, so that it can say why a page opened from a folder doesn't work.
(() => {
  "use strict";
  const at = (id) => document.getElementById(id);
  const form = at("form"), field = at("prompt"), write = at("write"), stop = at("stop");
  const status = at("status"), bar = at("bar"), list = at("posts"), log = at("log");
  const POSTS = 10;
  const segmenter = self.Intl?.Segmenter ? new Intl.Segmenter() : null;
  let bot = null, model = null, engine = null, running = null;

  const say = (text, isError = false) => {
    status.textContent = text;
    status.classList.toggle("error", isError);
  };

  // --- what stands in the way ---------------------------------------------------------------------

  function obstacle() {
    if (location.protocol === "file:") {
      return "Browsers don't let a page that was opened from a folder load a model. Open it from a web server, for example with: python -m http.server";
    }
    if (!self.WebAssembly || !self.Worker) {
      return "This browser can't run the bot: WebAssembly is missing or turned off. A current Chrome, Edge, Firefox or Safari can.";
    }
    return null;
  }

  // --- private data -------------------------------------------------------------------------------

  const EMAIL = /[\p{L}\p{N}._%+-]+@[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+/gu;
  const PHONE = /(?<![\p{L}\p{N}.+-])(?:\+\d(?:[\s().-]{0,2}\d){7,14}|(?:\(\d{3}\) ?|\d{3}[-.])\d{3}[-.]\d{4})(?![\p{L}\p{N}-])/gu;
  const masked = (text) => text.replace(EMAIL, "<email>").replace(PHONE, "<phone>");

  // While a post grows, what may become an address or a number is not shown yet.
  const settled = (text) => masked(text.replace(/[+(\d][\d\s().-]*$|\S+$/u, ""));

  function shortened(text, most, after) {
    const characters = [...text.trim()];
    if (characters.length <= most) return characters.join("");
    const head = characters.slice(0, most).join("");
    if (/\s/u.test(characters[most]) || /\s$/u.test(head)) return head.trimEnd();
    const words = head.replace(/\s+\S*$/u, "");
    return words !== head && words.length > after ? words : head;
  }

  // --- sharing, as huggingtweets' own drafts ------------------------------------------------------

  const graphemes = (text) =>
    segmenter ? Array.from(segmenter.segment(text), (part) => part.segment) : [...text];
  const isSingle = (code) =>
    code <= 0x10ff || (code >= 0x2000 && code <= 0x200d) ||
    (code >= 0x2010 && code <= 0x201f) || (code >= 0x2032 && code <= 0x2037);
  const weight = (part) =>
    /\p{Extended_Pictographic}|\p{Regional_Indicator}|\u20e3/u.test(part)
      ? 2
      : [...part].reduce((sum, char) => sum + (isSingle(char.codePointAt(0)) ? 1 : 2), 0);
  const ADDRESS = /https?:\/\/\S+/g;
  const counted = (text, count) =>
    23 * (text.match(ADDRESS) ?? []).length + count(text.replace(ADDRESS, ""));
  const NETWORKS = {
    X: ["https://x.com/intent/post?text=", 280, (text) =>
      counted(text.normalize("NFC"), (rest) => graphemes(rest).reduce((sum, part) => sum + weight(part), 0)) <= 280],
    Bluesky: ["https://bsky.app/intent/compose?text=", 300, (text) =>
      graphemes(text).length <= 300 && new TextEncoder().encode(text).length <= 3000],
    Mastodon: ["https://mastodon.social/share?text=", 500, (text) =>
      counted(text, (rest) => [...rest].length) <= 500],
  };

  // A bot mentions anybody and invents addresses: neither may work in a draft.
  const neutral = (post) =>
    post
      .replace(/[a-z][a-z0-9+.-]*:\/\/\S*/gi, "[link]")
      .replace(/(?<=\S)\.(?=\p{L}{2})/gu, ". ")
      .replace(/(?<=[\p{L}\p{N}_])[@＠]+(?=[\p{L}\p{N}_])/gu, " at ")
      .replace(/(?<![@＠])[@＠]+(?=[\p{L}\p{N}_])/gu, "");

  function draft(post, network) {
    const [, limit, fits] = NETWORKS[network];
    const link = location.protocol === "https:" && location.href.length <= 150 ? `\n${location.href.split("#")[0]}` : "";
    let tail = `\n\n— from my ${bot.title}${link}`;
    if (!fits("x".repeat(Math.floor(limit / 3)) + tail)) tail = `\n\n— from my ${bot.kind}${link}`;
    const body = neutral(post), parts = graphemes(body);
    const cut = (n) => (n >= parts.length ? body : parts.slice(0, n).join("").trimEnd() + "…");
    let low = 0, high = parts.length + 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (fits(cut(middle) + tail)) low = middle;
      else high = middle;
    }
    return cut(low) + tail;
  }

  function action(label, act) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.addEventListener("click", async () => {
      try {
        button.textContent = (await act()) ?? label;
      } catch (error) {
        if (error.name !== "AbortError") button.textContent = "Not possible here";
      }
      setTimeout(() => (button.textContent = label), 2000);
    });
    return button;
  }

  function addActions(card, post) {
    const foot = card.querySelector(".acts");
    const text = draft(post, "Mastodon");
    foot.append(action("Copy", async () => {
      await navigator.clipboard.writeText(text);
      return "Copied";
    }));
    if (navigator.share) foot.append(action("Share", () => navigator.share({ text })));
    for (const [network, [address]] of Object.entries(NETWORKS)) {
      const link = document.createElement("a");
      link.href = address + encodeURIComponent(draft(post, network));
      link.target = "_blank";
      link.rel = "noopener noreferrer";
      link.textContent = network;
      link.setAttribute("aria-label", `Open a draft on ${network}`);
      foot.append(link);
    }
  }

  // --- loading ------------------------------------------------------------------------------------

  const mb = (bytes) => Math.max(1, Math.round(bytes / 1e6));

  async function part(file, onBytes) {
    const answer = await fetch(file.name);
    if (!answer.ok) throw new Error(`${file.name} can't be loaded (${answer.status}). Is it beside this page?`);
    const reader = answer.body.getReader(), chunks = [];
    let size = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
      size += value.length;
      onBytes(value.length);
    }
    if (size !== file.bytes) {
      throw new Error(`${file.name} has ${size} bytes instead of ${file.bytes}. Upload it again, as it is and not with Git LFS.`);
    }
    return new Blob(chunks);
  }

  async function loadModel() {
    let loaded = 0;
    bar.hidden = false;
    bar.max = bot.bytes;
    const onBytes = (count) => {
      loaded += count;
      bar.value = loaded;
      say(`Loading the bot: ${mb(loaded)} of ${mb(bot.bytes)} MB`);
    };
    const parts = await Promise.all(bot.parts.map((file) => part(file, onBytes)));
    bar.hidden = true;
    return new Blob(parts);
  }

  async function start() {
    if (engine) return;
    const code = import("./wllama.js");
    model ??= await loadModel();
    const { Wllama } = await code;
    const quiet = { debug() {}, log() {}, warn() {}, error() {} };
    const made = new Wllama({ default: "wllama.wasm" }, { suppressNativeLog: true, logger: quiet });
    made.setCompat({ worker: new URL("wllama-compat.js", document.baseURI).href, wasm: "wllama-compat.wasm" });
    await made.loadModel([model], {
      n_ctx: bot.context,
      n_parallel: 1, // several posts side by side are no faster, and the first comes later
      n_gpu_layers: 0,
    });
    engine = made;
  }

  // llama.cpp ends at a post that is no valid text, which models write once in a long while.
  async function startAgain() {
    engine?.exit().catch(() => {});
    engine = null;
    await start();
  }

  // --- writing ------------------------------------------------------------------------------------

  function newCard() {
    const card = at("card").content.firstElementChild.cloneNode(true);
    list.append(card);
    return card;
  }

  function finish(card, post) {
    card.querySelector(".text").textContent = post;
    card.classList.add("done");
    addActions(card, post);
    const line = document.createElement("p");
    line.textContent = post;
    log.append(line);
  }

  async function newText(prompt, signal, onText) {
    let text = "", tokens = 0;
    await engine.createCompletion({
      // llama.cpp puts the separator before it; what looks like a special token is to be read as text
      prompt: prompt.replace(/<(?=[|\w]+>)/g, "< "),
      stream: true,
      abortSignal: signal,
      max_tokens: bot.post_tokens,
      temperature: bot.temperature,
      top_p: bot.top_p,
      top_k: 0,
      min_p: 0,
      repeat_penalty: 1,
      samplers: ["temperature", "top_p"],
      seed: crypto.getRandomValues(new Uint32Array(1))[0],
      onData: (chunk) => {
        text += chunk.choices?.[0]?.text ?? "";
        tokens = chunk.timings?.predicted_n ?? tokens + 1;
        onText(text);
      },
    });
    return { text, tokens };
  }

  // Write a post into a card; an empty one is written again. Returns the number of tokens.
  async function writeInto(card, prompt, signal) {
    const whole = (text) => shortened(prompt + text, bot.max_chars, prompt.length);
    const onText = (text) => (card.querySelector(".text").textContent = settled(whole(text)));
    for (let left = 3; left > 0; left--) {
      try {
        const { text, tokens } = await newText(prompt, signal, onText);
        if (!text.trim()) continue;
        finish(card, masked(whole(text)));
        return tokens;
      } catch (error) {
        if (signal.aborted || left === 1 || /context/.test(error.message)) throw error;
        await startAgain();
      }
    }
    card.remove();
    return 0;
  }

  async function run() {
    const prompt = field.value.trimEnd();
    running = new AbortController();
    const { signal } = running;
    write.hidden = true;
    stop.hidden = false;
    stop.focus();
    list.replaceChildren();
    log.replaceChildren();
    list.setAttribute("aria-busy", "true");
    let finished = 0;
    try {
      await start();
      const began = performance.now();
      let tokens = 0;
      say("Writing");
      for (const card of Array.from({ length: POSTS }, newCard)) {
        tokens += await writeInto(card, prompt, signal);
        finished = list.querySelectorAll(".done").length;
        say(`${finished} of ${POSTS} posts`);
      }
      const seconds = (performance.now() - began) / 1000;
      say(`${finished} posts in ${seconds.toFixed(1)} s, ${Math.round(tokens / seconds)} tokens a second in your browser.`);
    } catch (error) {
      if (signal.aborted) say(`Stopped after ${finished} posts.`);
      else if (/context/.test(error.message)) say("The beginning is too long for this bot; shorten it.", true);
      else say(`That didn't work: ${error.message || error}`, true);
    }
    for (const card of list.querySelectorAll(".post:not(.done)")) card.remove();
    bar.hidden = true;
    list.setAttribute("aria-busy", "false");
    stop.hidden = true;
    write.hidden = false;
    if (document.activeElement === document.body || document.activeElement === stop) write.focus();
    running = null;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!running && bot) run();
  });
  stop.addEventListener("click", () => {
    running?.abort();
    say("Stopping");
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") running?.abort();
  });

  async function begin() {
    const why = obstacle();
    if (why) return say(why, true);
    try {
      const answer = await fetch("bot.json");
      if (!answer.ok) throw new Error(String(answer.status));
      bot = await answer.json();
    } catch (error) {
      return say(`bot.json can't be loaded (${error.message}). Is it beside this page?`, true);
    }
    write.disabled = false;
    say(`The first time, your browser loads ${mb(bot.bytes)} MB. Then everything runs on your device; what you type is sent nowhere.`);
  }

  self.huggingtweets = { draft, masked, settled, shortened };
  begin();
})();
