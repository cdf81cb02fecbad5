"use strict";
// Everything foreign enters the page as text: this script never parses mark-up.
(async () => {
  const CHUNK = 100, SEVERITY = ["violation", "drift", "question"];
  const ROWS = [["Expected", 4], ["Actual", 5], ["About", 6], ["Contract", 7]];
  const list = document.getElementById("list");
  if (!list) return;

  const unpack = async (packed) => {
    const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  };
  const block = JSON.parse(document.getElementById("data").textContent);
  const data = block.packed ? await unpack(block.packed) : block;
  const words = data.words, findings = data.findings;
  const exchanges = new Map(data.exchanges.map((x) => [x[0], x]));

  const make = (tag, name, ...inside) => {
    const element = document.createElement(tag);
    if (name) element.className = name;
    element.append(...inside.filter((part) => part !== ""));
    return element;
  };

  const exchange = (seq) => {
    const x = exchanges.get(seq);
    if (!x) return make("li", "", `#${seq}`);
    const [, good, operation, job, method, url, answer, purpose, at, took] = x.map((v, i) => (i > 1 ? words[v] : v));
    const item = make("li", good ? "" : "fault",
      make("div", "call", make("b", "", `#${seq} ${operation}`), make("span", "url", `${method} ${url}`),
        make("span", "code", `→ ${answer}`), make("span", "when", `${at}, took ${took}${job ? `, job ${job}` : ""}`)),
      purpose ? make("div", "purpose", purpose) : "");
    if (x.length > 10) item.append(bodies(x.slice(10).map((n) => words[n])));
    else item.append(make("div", "when", "Headers and bodies are in the HAR report."));
    return item;
  };

  const message = (title, head, body) => {
    const pre = make("pre", "", head ? make("span", "head", head + "\n") : "", head && body ? "\n" : "", body || (head ? "" : "nothing"));
    pre.tabIndex = 0;
    return make("div", "", make("h4", "", title), pre);
  };

  const bodies = ([sent, asked, got, told]) => {
    const details = make("details", "", make("summary", "", "Request and reply"));
    return lazily(details, () =>
      details.append(make("div", "halves", message("Request", sent, asked), message("Reply", got, told))));
  };

  const copyable = (text) => {
    const button = make("button", "", "Copy");
    const pre = make("pre", "curl", text);
    pre.tabIndex = 0;
    button.type = "button";
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(pre);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    return make("div", "again", pre, button);
  };

  const inside = (finding) => {
    const rows = ROWS.filter(([, i]) => words[finding[i]]).map(([name, i]) =>
      make("div", name.toLowerCase(), make("dt", "", name), make("dd", "", words[finding[i]])));
    const box = make("div", "inside", make("dl", "", ...rows));
    const evidence = finding[9], replay = words[finding[8]];
    if (evidence.length) {
      box.append(make("h3", "", "Evidence"), make("ol", "evidence", ...evidence.slice(0, 50).map(exchange)));
      if (evidence.length > 50) box.append(make("p", "small", `and ${evidence.length - 50} more exchanges`));
    }
    if (replay) box.append(make("h3", "", "See it again"), copyable(replay));
    return box;
  };

  const fillers = new WeakMap();
  const lazily = (details, fill) => {
    const once = () => { if (fillers.delete(details)) fill(); };
    fillers.set(details, once);
    details.addEventListener("toggle", once, { once: true });
    return details;
  };

  const item = (finding) => {
    const severity = SEVERITY[finding[0]];
    const details = make("details", "", make("summary", "", make("span", `badge ${severity}`, severity),
      make("span", "says", words[finding[3]]),
      make("span", "from", make("code", "", words[finding[2]]), " " + words[finding[1]])));
    lazily(details, () => details.append(inside(finding)));
    return make("li", severity, details);
  };

  const form = document.getElementById("filters"), more = document.getElementById("more");
  const endpoint = document.getElementById("endpoint"), search = document.getElementById("search");
  const shown = document.getElementById("shown");
  const boxes = [...form.querySelectorAll("input[type=checkbox]")];
  let chosen = findings, drawn = 0;

  const haystack = (finding) => finding.slice(1, 8).map((n) => words[n]).join("\n").toLowerCase();
  let texts = null;

  const extend = () => {
    list.append(...chosen.slice(drawn, drawn + CHUNK).map(item));
    drawn = Math.min(drawn + CHUNK, chosen.length);
    more.hidden = drawn >= chosen.length;
    shown.textContent = chosen.length === findings.length
      ? `${drawn.toLocaleString("en")} of ${findings.length.toLocaleString("en")} shown`
      : `${chosen.length.toLocaleString("en")} of ${findings.length.toLocaleString("en")} match, ${drawn.toLocaleString("en")} shown`;
  };

  const filter = () => {
    const severities = new Set(boxes.filter((box) => box.checked).map((box) => Number(box.value)));
    const where = endpoint.value === "" ? null : endpoint.options[endpoint.selectedIndex].textContent;
    const wanted = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    if (wanted.length && !texts) texts = findings.map(haystack);
    chosen = findings.filter((finding, i) => severities.has(finding[0])
      && (where === null || words[finding[1]] === where)
      && wanted.every((word) => texts[i].includes(word)));
    list.replaceChildren();
    drawn = 0;
    extend();
  };

  let waiting = 0;
  search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filter, 120); });
  form.addEventListener("change", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", extend);
  new IntersectionObserver((seen) => { if (seen[0].isIntersecting && !more.hidden) extend(); }, { rootMargin: "400px" }).observe(more);

  for (const chip of document.querySelectorAll("a.chip")) {
    chip.addEventListener("click", () => {
      endpoint.value = chip.dataset.endpoint;
      for (const box of boxes) box.checked = box.dataset.name === chip.dataset.severity;
      search.value = "";
      filter();
    });
  }

  addEventListener("beforeprint", () => {
    for (const details of list.querySelectorAll(":scope > li > details:not([open])")) {
      fillers.get(details)?.();
      details.open = true;
    }
  });

  form.hidden = false;
  form.reset();
  filter();
})();
