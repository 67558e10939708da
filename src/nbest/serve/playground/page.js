// The form, the runs of this session, and what happens when.

const LANGUAGE = "nbest.language";
const EXAMPLES = [
  ["ar", "لدى سلمى ٣ صناديق في كل منها ٧ تفاحات، وأكلت تفاحتين. كم بقي؟"],
  ["zh", "用一句话解释为什么天空是蓝色的。"],
  ["hi", "एक ट्रेन 2 घंटे में 150 किमी चलती है। उसकी औसत चाल क्या है?"],
  ["ja", "「猫の手も借りたい」とはどういう意味ですか。"],
  ["ru", "Сколько будет 17 × 24? Объясни по шагам."],
  ["th", "แปลเป็นภาษาอังกฤษ: น้ำขึ้นให้รีบตัก"],
];

const runs = [];
let shown = null; // the run on the stage
let running = null; // {run, abort, timer}
const models = new Map();

function say(text) {
  byId("live").textContent = text;
}

// ---- a run ----

async function start() {
  const prompt = byId("prompt").value;
  if (running || !byId("ask").reportValidity()) return;
  complain();
  if (!prompt.trim()) {
    complain(word("need_prompt"));
    byId("prompt").focus();
    return;
  }
  running = { abort: new AbortController() };
  busy(true);
  if (!models.size) await loadModels();
  if (models.size) await go({ asked: asked(prompt), log: [] });
  running = null;
  busy(false);
  list();
}

async function go(run) {
  const begun = performance.now();
  const passed = () => (performance.now() - begun) / 1000;
  const { signal } = running.abort;
  const timer = setInterval(() => run.view.tick(passed()), 100);
  runs.push(run);
  running.run = run;
  show(run);
  if (byId("stage").getBoundingClientRect().top > innerHeight / 2) byId("stop").scrollIntoView();
  try {
    const headers = { "Content-Type": "application/json" };
    const body = JSON.stringify(run.asked.body);
    const response = await call("v1/chat/completions", { method: "POST", headers, body, signal });
    for await (const chunk of events(response.body)) tell(run, chunk);
    if (!run.view.isOver) tell(run, { failed: word("broken_off") });
  } catch (error) {
    if (error.status === 401) askForKey();
    const isCut = error instanceof TypeError || error instanceof SyntaxError; // the connection, or half an event
    tell(run, signal.aborted ? { stopped: true } : { failed: isCut ? word("broken_off") : error.message });
  }
  clearInterval(timer);
  run.passed = passed();
  run.view.tick(run.view.nbest?.seconds ?? run.passed);
}

function tell(run, event) {
  run.log.push(event);
  run.view.take(event);
}

/** What the form asks for: the request, and how a view shows it. */
function asked(prompt) {
  const value = (id) => byId(id).value.trim() || undefined;
  const size = value("size") && Number(value("size"));
  const deadline = value("deadline") && Number(value("deadline"));
  const [model, strategy, code] = ["model", "strategy", "language"].map(value);
  const nbest = { strategy, n: size, language: code, deadline, candidates: true, progress: "events" };
  return {
    prompt,
    language: code,
    size,
    body: {
      model,
      messages: [{ role: "user", content: prompt }],
      stream: true,
      stream_options: { include_usage: true },
      nbest,
    },
    form: { prompt, model, strategy, size, deadline, language: code },
  };
}

function facts({ form }) {
  const named = [
    form.model && el("bdi", {}, form.model),
    form.strategy && spec(form.strategy),
    form.size && el("bdi", { dir: "ltr" }, `n = ${form.size}`),
    form.language && languageName(form.language),
    form.deadline && `${word("deadline")} ${number(form.deadline)}`,
  ].filter(Boolean);
  return named.flatMap((fact, k) => (k ? [" · ", fact] : [fact]));
}

/** Puts a run on the stage: drawn anew from what was told, in the language of the interface. */
function show(run) {
  shown = run;
  run.view = new View({ ...run.asked, facts: facts(run.asked) });
  run.log.forEach((event) => run.view.take(event));
  if (run === running?.run) run.view.say = say;
  if (run.passed !== undefined) run.view.tick(run.view.nbest?.seconds ?? run.passed);
  byId("stage").replaceChildren(run.view.node);
  list();
}

function list() {
  byId("past").hidden = runs.length === 0;
  const items = runs.map((run) => {
    const { prompt, language: code } = run.asked;
    const lang = code ?? scriptLanguage(prompt);
    const state = run.view?.status.dataset.state;
    const sign = run === running?.run ? "…" : state === "failed" ? "✗" : state === "stopped" ? "◼︎" : "★";
    const button = el(
      "button",
      { type: "button", "aria-current": run === shown && "true" },
      el("span", { class: "sign", "aria-hidden": "true" }, sign),
      el("span", { class: "head", dir: direction(prompt, lang), lang }, prompt),
    );
    button.addEventListener("click", () => {
      fill(run.asked.form);
      show(run);
      byId("history").querySelector("[aria-current]")?.focus();
    });
    return el("li", {}, button);
  });
  byId("history").replaceChildren(...items.reverse());
}

function fill(form) {
  for (const [id, value] of Object.entries(form)) byId(id).value = value ?? "";
  hint();
}

function busy(is) {
  const [on, off] = is ? ["stop", "run"] : ["run", "stop"];
  const hadFocus = document.activeElement === byId(off);
  byId(on).disabled = false;
  byId(off).disabled = true;
  if (hadFocus) byId(on).focus();
}

function complain(message = "") {
  byId("problem").textContent = message;
  byId("problem").hidden = !message;
}

// ---- the server ----

async function loadModels() {
  try {
    const { data } = await (await call("v1/models")).json();
    models.clear();
    for (const row of data) models.set(row.id, row.nbest ?? {});
    const before = byId("model").value;
    const options = (isPreset) => [...models].filter(([, { preset }]) => Boolean(preset) === isPreset).map(([id]) => el("option", { value: id }, id));
    const groups = [["models", options(false)], ["presets", options(true)]];
    byId("model").replaceChildren(...groups.filter(([, rows]) => rows.length).map(([key, rows]) => el("optgroup", { label: word(key), "data-label": key }, ...rows)));
    byId("model").value = models.has(before) ? before : data[0]?.id;
    hint();
    complain();
  } catch (error) {
    if (error.status === 401) askForKey();
    else complain(error.message);
  }
}

/** The strategy that the model's name stands for. */
function hint() {
  byId("strategy").placeholder = models.get(byId("model").value)?.strategy ?? word("default");
}

function askForKey() {
  complain(word(sessionStorage.getItem(KEY) ? "wrong_key" : "need_key"));
  byId("key-row").hidden = false;
  byId("key").focus();
}

// ---- the page ----

function speak(code) {
  language = code;
  label();
  byId("interface").value = code;
  const names = DATA.languages.map((c) => [c, languageName(c, c), languageName(c)]);
  const chosen = byId("language").value;
  byId("language").replaceChildren(
    el("option", { value: "" }, word("auto")),
    ...names
      .sort(([, , a], [, , b]) => a.localeCompare(b, language))
      .map(([c, own, name]) => el("option", { value: c, lang: c }, own === name ? own : `${name} – ${own}`)),
  );
  byId("language").value = chosen;
  for (const group of byId("model").children) group.label = word(group.dataset.label);
  hint();
  if (shown) show(shown);
}

function prepare() {
  byId("shortcut").textContent = /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘⏎" : "Ctrl+⏎";
  byId("interface").append(...Object.keys(DATA.words).map((c) => el("option", { value: c, lang: c }, languageName(c, c))));
  byId("examples").append(
    ...EXAMPLES.map(([code, text]) => {
      const button = el("button", { type: "button", class: "small", lang: code, dir: "auto", title: text }, languageName(code, code));
      button.addEventListener("click", () => {
        byId("prompt").value = text;
        byId("prompt").lang = code;
        byId("prompt").focus();
      });
      return button;
    }),
  );
  byId("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    start();
  });
  byId("stop").addEventListener("click", () => running?.abort.abort());
  byId("model").addEventListener("change", hint);
  byId("prompt").addEventListener("input", (event) => {
    event.target.lang = scriptLanguage(event.target.value) ?? "";
  });
  byId("key").addEventListener("change", (event) => {
    sessionStorage.setItem(KEY, event.target.value.trim());
    loadModels();
  });
  byId("interface").addEventListener("change", (event) => {
    localStorage.setItem(LANGUAGE, event.target.value);
    speak(event.target.value);
  });
  document.addEventListener("keydown", (event) => {
    if (event.isComposing) return; // an input method's Enter and Escape are its own
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      start();
    } else if (event.key === "Escape") running?.abort.abort();
  });
}

async function begin() {
  prepare();
  const wanted = [localStorage.getItem(LANGUAGE), ...navigator.languages].map(base);
  speak(wanted.find((code) => code in DATA.words) ?? "en");
  await loadModels();
  document.documentElement.dataset.ready = "true";
}

begin();
