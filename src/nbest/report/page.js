// The pool browser. Whatever a model or a user wrote enters the page as text nodes only.
"use strict";

const PAGE = 100;
const byId = (id) => document.getElementById(id);

/** A new element: attributes (class, lang, …) and children, strings becoming text. */
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) node.setAttribute(key, value);
  }
  node.append(...children.filter((c) => c !== undefined && c !== null && c !== false));
  return node;
}

/** Text in its own language, each line in its own direction, with what was searched for marked. */
function written(text, language) {
  const lines = text.split(/\r\n|\n|\r/).map((line) => {
    // A line without letters, such as the last one of many answers, goes with the whole text.
    const hasLetters = /\p{L}/u.test(line);
    return el("div", { class: hasLetters && "line" }, ...(line ? marked(line) : ["\n"]));
  });
  return el("div", { class: "text", dir: "auto", lang: language }, ...lines);
}

const folded = (text) => text.normalize("NFKC").toLocaleLowerCase();

function marked(text) {
  const wanted = byId("search").value.trim();
  const lower = text.toLocaleLowerCase();
  if (!wanted || lower.length !== text.length) return [text];
  const needle = wanted.toLocaleLowerCase();
  const parts = [];
  let from = 0;
  for (let at = lower.indexOf(needle); at >= 0; at = lower.indexOf(needle, from)) {
    parts.push(text.slice(from, at), el("mark", {}, text.slice(at, at + needle.length)));
    from = at + needle.length;
  }
  return [...parts, text.slice(from)];
}

/** JSON that the page carries as gzip in base64. */
async function unpacked(id) {
  const bytes = Uint8Array.from(atob(byId(id).textContent.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

const blocks = new Map();
const blockOf = (k) => blocks.get(k) ?? blocks.set(k, unpacked(`block-${k}`)).get(k);

const state = { index: null, found: [], page: 0, at: 0, run: null };

async function recordOf(row) {
  const [, , , , block, place] = row;
  return (await blockOf(block))[place];
}

// ---- the list ----

async function filter() {
  const language = byId("language").value;
  const flag = Number(byId("show").value);
  const wanted = folded(byId("search").value.trim());
  const turn = (state.turn = (state.turn ?? 0) + 1);
  let rows = state.index.prompts.filter(
    ([, lang, flags]) => (!language || lang === language) && (!flag || flags & flag),
  );
  if (wanted) {
    const found = [];
    for (const row of rows) {
      if (folded(`${row[0]} ${row[3]}`).includes(wanted)) found.push(row);
      else {
        const record = await recordOf(row);
        if (turn !== state.turn) return; // somebody typed on
        if (textsOf(record).some((t) => folded(t).includes(wanted))) found.push(row);
      }
    }
    rows = found;
  }
  state.found = rows;
  state.page = 0;
  byId("count").textContent = `${rows.length} of ${state.index.prompts.length} prompts`;
  list();
  await choose(0);
}

function* textsIn(record) {
  for (const [, text] of record.turns) yield text;
  for (const pool of record.pools) for (const c of pool.c) yield c.t;
  for (const choice of record.choices) if (choice.text) yield choice.text;
}
const textsOf = (record) => [...textsIn(record)];

function list() {
  const start = state.page * PAGE;
  const rows = state.found.slice(start, start + PAGE);
  byId("list").replaceChildren(
    ...rows.map(([id, language, , head], i) =>
      el(
        "li",
        { role: "option", id: `row-${start + i}`, "data-at": start + i, "aria-selected": "false" },
        el("div", { class: "id" }, el("bdi", {}, id), el("span", {}, language ?? "")),
        el("div", { class: "head", dir: "auto", lang: language }, ...marked(head)),
      ),
    ),
  );
  const last = Math.max(0, Math.ceil(state.found.length / PAGE) - 1);
  byId("place").textContent = rows.length ? `${start + 1}–${start + rows.length}` : "";
  byId("previous").disabled = state.page === 0;
  byId("next").disabled = state.page >= last;
}

function turnPage(by) {
  state.page += by;
  list();
  choose(state.page * PAGE);
}

/** Shows prompt `at` of those found. */
async function choose(at) {
  const row = state.found[at];
  if (!row) {
    byId("pool").replaceChildren(el("p", { class: "meta" }, "No prompt is like that."));
    return;
  }
  state.at = at;
  if (Math.floor(at / PAGE) !== state.page) {
    state.page = Math.floor(at / PAGE);
    list();
  }
  for (const item of byId("list").children) {
    const selected = Number(item.dataset.at) === at;
    item.setAttribute("aria-selected", String(selected));
    if (selected) {
      byId("list").setAttribute("aria-activedescendant", item.id);
      const box = byId("list");
      if (item.offsetTop < box.scrollTop + box.offsetTop) box.scrollTop = item.offsetTop - box.offsetTop;
      else if (item.offsetTop + item.offsetHeight > box.scrollTop + box.offsetTop + box.clientHeight)
        box.scrollTop = item.offsetTop + item.offsetHeight - box.offsetTop - box.clientHeight;
    }
  }
  const record = await recordOf(row);
  if (state.at === at && state.found[at] === row) show(record);
}

// ---- one pool ----

function show(record) {
  const choices = record.choices;
  const choice = choices.find((c) => c.r === state.run) ?? choices[0];
  const pool = record.pools[choice.p];
  const parts = [
    el("h3", {}, el("bdi", {}, record.id)),
    el("div", { class: "meta" }, [record.lang, record.task].filter(Boolean).join(" · ")),
    ...record.turns.map(([role, text]) =>
      el("div", { class: "turn" }, el("div", { class: "role" }, role), written(text, record.lang)),
    ),
    record.gold !== undefined &&
      el("div", { class: "turn" }, el("div", { class: "role" }, "expected"), written(record.gold, record.lang)),
    el(
      "div",
      { class: "methods", role: "group", "aria-label": "Methods" },
      ...choices.map((c) => {
        const button = el(
          "button",
          { type: "button", "aria-pressed": String(c === choice) },
          `${state.index.runs[c.r]} `,
          verdict(c.s) ?? "",
        );
        button.addEventListener("click", () => {
          state.run = c.r;
          show(record);
          byId("pool").querySelector('[aria-pressed="true"]').focus();
        });
        return button;
      }),
    ),
    explained(choice),
    tree(record, pool.c, choice),
    el("div", { class: "cards" }, ...cards(record, pool, choice)),
  ];
  byId("pool").replaceChildren(...parts.filter(Boolean));
}

/** Right or wrong, or the score; nothing where it is not known. */
function verdict(score) {
  if (score === undefined) return null;
  if (state.index.score === "oracle") {
    return score > 0 ? el("span", { class: "good" }, "✓ right") : el("span", { class: "bad" }, "✗ wrong");
  }
  return el("span", { class: "tag" }, number(score));
}

const number = (x, digits = 4) => String(Number(x.toPrecision(digits))).replace("-", "−");

function explained(choice) {
  const { values, ...judged } = choice.d ?? {}; // values are shown in the tree
  const parts = [
    choice.error && el("div", { class: "bad" }, "no answer: ", choice.error),
    choice.stopped && el("div", { class: "meta" }, `stopped: ${choice.stopped}`),
    choice.why && written(choice.why),
    ...(choice.notes ?? []).map((n) => el("div", { class: "meta" }, "note: ", n)),
    Object.keys(judged).length > 0 &&
      el("details", { open: true }, el("summary", {}, "how it was judged"), json(judged)),
  ].filter(Boolean);
  return parts.length ? el("div", { class: "why" }, ...parts) : null;
}

/** Recorded JSON as nested lists. */
function json(value) {
  if (value === null || typeof value !== "object") return written(String(value));
  const entries = Array.isArray(value) ? value.map((v, i) => [`${i + 1}.`, v]) : Object.entries(value);
  return el(
    "ul",
    { class: "tree" },
    ...entries.map(([key, v]) => el("li", {}, el("span", { class: "meta" }, `${key} `), json(v))),
  );
}

/** One for each answer; the steps of a search are in its tree. */
function cards(record, pool, choice) {
  const answers = pool.c.filter((c) => c.f !== "step" || c.i === choice.w);
  const all = answers.map((c) => card(record, c, choice, c.i === choice.w && choice.text === undefined));
  if (choice.text === undefined) return all;
  const fused = { i: choice.w, t: choice.text, s: choice.s, p: choice.parents };
  return [card(record, fused, choice, true), ...all];
}

function card(record, c, choice, won) {
  const language = c.l ?? record.lang;
  const score = choice.scores?.[c.i];
  const weight = choice.weights?.[c.i];
  const others = record.choices.filter((o) => o.w === c.i && o.p === choice.p && (o.text ?? c.t) === c.t);
  const facts = [
    c.T !== undefined && `T ${c.T}`,
    c.n !== undefined && `${c.n} tokens`,
    c.f,
    c.l,
    c.p && `from ${c.p.map((p) => `#${p}`).join(", ")}`,
    c.g,
    ...Object.entries(c.m ?? {}).map(([k, v]) => `${k}: ${typeof v === "string" ? v : JSON.stringify(v)}`),
  ].filter(Boolean);
  const bar = weight !== undefined && el("div", { class: "weight" }, el("i"));
  if (bar) bar.firstChild.style.width = `${Math.max(0, Math.min(1, weight)) * 100}%`;
  return el(
    "div",
    { class: won ? "card won" : "card" },
    el(
      "div",
      { class: "top" },
      el("span", { class: "tag" }, won ? `★ #${c.i}` : `#${c.i}`),
      verdict(c.s),
      score !== undefined && el("span", { class: "meta" }, `score ${number(score)}`),
      weight !== undefined && el("span", { class: "meta" }, `weight ${number(weight)}`),
    ),
    c.e ? el("div", { class: "bad" }, "failed: ", c.e) : written(c.t, language),
    bar,
    el("div", { class: "meta", dir: "auto" }, facts.join(" · ")),
    others.length > 0 &&
      el("div", { class: "meta" }, `chosen by ${others.map((o) => state.index.runs[o.r]).join(", ")}`),
  );
}

// ---- start ----

async function start() {
  state.index = await unpacked("index");
  for (const lang of state.index.languages) byId("language").append(el("option", { value: lang }, lang));
  for (const id of ["language", "show"]) byId(id).addEventListener("change", filter);
  let waiting;
  byId("search").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, 150);
  });
  byId("filters").addEventListener("submit", (e) => e.preventDefault());
  byId("previous").addEventListener("click", () => turnPage(-1));
  byId("next").addEventListener("click", () => turnPage(1));
  byId("list").addEventListener("click", (e) => {
    const row = e.target.closest("li");
    if (row) choose(Number(row.dataset.at));
  });
  byId("list").addEventListener("keydown", (e) => {
    const to = { ArrowDown: state.at + 1, ArrowUp: state.at - 1, Home: 0, End: state.found.length - 1 }[e.key];
    if (e.key === "Enter") byId("pool").focus();
    if (to === undefined || to < 0 || to >= state.found.length) return;
    e.preventDefault();
    choose(to);
  });
  document.addEventListener("keydown", (e) => {
    if (e.target.matches("input, select, textarea") || e.ctrlKey || e.metaKey || e.altKey) return;
    const step = { j: 1, k: -1 }[e.key];
    if (e.key === "/") {
      e.preventDefault();
      byId("search").focus();
    } else if (step && state.found[state.at + step]) choose(state.at + step);
  });
  byId("filters").hidden = byId("browser").hidden = false;
  const wanted = new URLSearchParams(location.hash.slice(1));
  for (const id of ["search", "language", "show"]) if (wanted.has(id)) byId(id).value = wanted.get(id);
  await filter();
  if (wanted.has("prompt")) {
    const at = state.found.findIndex(([id]) => id === wanted.get("prompt"));
    if (at >= 0) await choose(at);
    byId("pools").scrollIntoView({ behavior: "instant" });
  }
  document.documentElement.dataset.ready = "true";
}

start().catch((error) => {
  byId("pools").append(el("p", { class: "bad" }, `The pools cannot be shown: ${error.message}`));
});
