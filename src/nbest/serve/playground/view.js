// One run: its prompt, the candidates as they arrive, the answer, why it won, and what that cost.

const STOPPED = { budget: "budget_reached", deadline: "deadline_reached", error: "failed" };
const FINISH = { stop: "complete", tool_calls: "complete", length: "cut_off", error: "failed", step: "step" };
const SIGNS = { ">>": "≫", ">": ">", "=": "=" };

class View {
  /** `asked`: {prompt, language, size, facts}; `say` is told what a screen reader should read out. */
  constructor(asked, say = () => {}) {
    Object.assign(this, { asked, say, cards: [], text: "", tools: [], calls: {}, written: {}, isOver: false });
    this.state = el("span");
    this.clock = el("span", { class: "clock", "aria-hidden": "true" });
    this.status = el("p", { class: "status" }, el("i", { class: "dot" }), this.state, this.clock);
    this.problem = el("p", { class: "problem", role: "alert", hidden: "" });
    this.chips = el("span", { class: "chips" });
    this.answer = el("div", { class: "text waiting" });
    this.why = el("div", { class: "why" });
    this.cost = el("section", { class: "cost" });
    this.count = el("span", { class: "count" });
    this.list = el("div", { class: "cards", role: "list" });
    this.empty = Array.from({ length: Math.min(asked.size ?? 0, 64) }, () =>
      el("div", { class: "card empty", "aria-hidden": "true" }),
    );
    this.list.append(...this.empty);
    this.stepCount = el("span", { class: "count" });
    this.stepList = el("div", { class: "cards", role: "list" });
    this.steps = el("section", { class: "pool", hidden: "" }, el("h2", {}, word("steps"), " ", this.stepCount), this.stepList);
    const prompt = { class: "long", tabindex: 0, role: "group", "aria-label": word("prompt") };
    this.node = el(
      "article",
      { class: "run", "aria-busy": "true" },
      el("div", { class: "asked" }, el("div", prompt, prose(asked.prompt, asked.language)), el("p", { class: "meta" }, ...asked.facts)),
      this.status,
      this.problem,
      el("section", { class: "answer" }, el("h2", {}, word("answer"), " ", this.chips), this.answer, this.why),
      this.cost,
      el("section", { class: "pool" }, el("h2", {}, word("candidates"), " ", this.count), this.list),
      this.steps,
    );
    this.stage("waiting");
    this.account();
  }

  /** A chunk of the stream, or what happened to the stream: {failed: message}, {stopped: true}. */
  take(event) {
    if (event.failed !== undefined) return this.over("failed", event.failed);
    if (event.stopped) return this.over("stopped");
    if (event.error) return this.over("failed", event.error.message ?? String(event.error));
    const { nbest, choices } = event;
    if (nbest?.event === "candidate") this.arrived(nbest.candidate, nbest.role);
    else if (nbest?.event === "call") this.called(nbest.role);
    for (const choice of choices ?? []) if ((choice.index ?? 0) === 0) this.write(choice, nbest);
  }

  tick(passed) {
    this.clock.textContent = seconds(this.isOver ? passed : Math.round(passed * 10) / 10);
  }

  stage(key) {
    this.key = key;
    const drawn = this.cards.filter((card) => !this.isStep(card)).length;
    const { size } = this.asked;
    const progress = [
      word(key),
      size && drawn <= size ? `${number(drawn)} / ${number(size)}` : drawn > 0 && number(drawn),
      ...Object.entries(this.calls).map(([role, k]) => `${word(role)} ${number(k)}`),
    ];
    this.state.textContent = progress.filter(Boolean).join(" · ");
    this.status.dataset.state = key;
    this.count.textContent = drawn ? number(drawn) : "";
  }

  arrived(candidate, role = "policy") {
    const card = { candidate, node: el("div", { class: "card", role: "listitem" }) };
    this.cards.push(card);
    this.draw(card);
    this.sort();
    this.written[role] = (this.written[role] ?? 0) + (candidate.usage?.completion ?? 0);
    this.account();
    this.stage(this.key);
    this.say(`${word("candidate", { k: number(this.cards.length) })}${candidate.error ? `: ${word("failed")}` : ""}`);
  }

  called(role) {
    this.calls[role] = (this.calls[role] ?? 0) + 1;
    this.stage("choosing");
  }

  write({ delta = {}, finish_reason: finish }, nbest) {
    if (delta.content) {
      this.text += delta.content;
      this.answer.classList.remove("waiting");
      if (!this.stream) {
        this.stream = el("p", {}, "");
        this.answer.replaceChildren(el("div", { class: "prose" }, this.stream));
        this.stage("writing");
      }
      this.stream.firstChild.appendData(delta.content);
      const start = this.text.slice(0, 500); // enough to tell, and not more with every word
      this.stream.lang = this.asked.language ?? scriptLanguage(start) ?? "";
      this.stream.dir = direction(start, this.stream.lang);
    }
    for (const call of delta.tool_calls ?? []) {
      const known = (this.tools[call.index ?? 0] ??= { name: "", arguments: "" });
      known.name += call.function?.name ?? "";
      known.arguments += call.function?.arguments ?? "";
    }
    if (finish) this.finish(finish, nbest ?? {});
  }

  finish(reason, nbest) {
    this.nbest = nbest;
    if (nbest.candidates) this.settle(nbest.candidates);
    for (const card of this.cards) this.draw(card);
    this.sort();
    const won = this.cards.find((c) => c.candidate.id !== null && c.candidate.id === nbest.chosen)?.candidate;
    const text = this.text || won?.text || "";
    const calls = this.tools.length ? this.tools : won?.tool_calls ?? [];
    this.answer.classList.remove("waiting");
    this.answer.parentNode.classList.toggle("won", Boolean(text || calls.length));
    if (text || calls.length) this.answer.replaceChildren(prose(text, won?.language ?? this.asked.language), ...calls.map(tool));
    else this.answer.replaceChildren(el("p", { class: "meta" }, word("no_answer")));
    const id = nbest.chosen ?? null;
    this.chips.replaceChildren(
      ...[
        id !== null && el("span", { class: "star" }, "★ ", tag(id)),
        won?.language && el("span", { class: "chip" }, languageName(won.language)),
        ...(won?.parents?.length ? [madeFrom(won.parents)] : []),
        reason === "length" && el("span", { class: "chip bad" }, word("cut_off")),
        text && navigator.clipboard && copyButton(text),
      ].filter(Boolean),
    );
    this.why.replaceChildren(...explained(nbest));
    this.account();
    this.over(STOPPED[nbest.stopped] ?? "done");
    if (id !== null) this.say(`${word("winner")} #${id}`);
  }

  /** Gives the cards their final ids: each goes to the first that says the same, one of the same draw first. */
  settle(finals) {
    const left = [...this.cards];
    const twin = (c, exactly) => left.findIndex((card) => isSame(card.candidate, c) && (!exactly || isSameDraw(card.candidate, c)));
    const unmatched = [];
    for (const exactly of [true, false]) {
      for (const candidate of exactly ? finals : unmatched.splice(0)) {
        const k = twin(candidate, exactly);
        if (k >= 0) left.splice(k, 1)[0].candidate = candidate;
        else unmatched.push(candidate);
      }
    }
    for (const candidate of unmatched) {
      const card = { candidate, node: el("div", { class: "card", role: "listitem" }) };
      this.cards.push(card);
    }
  }

  /** On the way to an answer, unless the search had to answer with it. */
  isStep({ candidate }) {
    return candidate.finish === "step" && candidate.id !== this.nbest?.chosen;
  }

  /** Puts the steps of a search, of which some are known as such at its end only, below the answers that they led to. */
  sort() {
    for (const card of this.cards) {
      const list = this.isStep(card) ? this.stepList : this.list;
      if (card.node.parentNode === list) continue;
      const place = list === this.list ? this.empty.shift() : undefined;
      if (place) place.replaceWith(card.node);
      else list.append(card.node);
    }
    const { length } = this.stepList.children;
    this.stepCount.textContent = number(length);
    this.steps.hidden = length === 0;
  }

  /** Draws a card, or what is new of it: a text that stands stays, with what is selected in it. */
  draw(card) {
    const c = card.candidate;
    const isFinal = this.nbest !== undefined && (c.id ?? null) !== null;
    const hasWon = isFinal && c.id === this.nbest.chosen;
    const { scores, details } = this.nbest ?? {};
    const score = isFinal ? c.score ?? scores?.[c.id] ?? details?.values?.[c.id] : undefined; // values: of a search's steps
    const weight = isFinal ? c.weight ?? this.nbest.weights?.[c.id] : undefined;
    card.node.classList.toggle("won", hasWon);
    card.node.classList.toggle("step", this.isStep(card));
    card.text ??= c.error
      ? el("p", { class: "bad" }, `${word("failed")}: `, el("bdi", {}, c.error))
      : el("div", { class: "text", tabindex: 0, role: "group", "aria-label": word("answer") }, c.reasoning && reasoning(c), prose(c.text, c.language), ...(c.tool_calls ?? []).map(tool));
    const top = el(
      "div",
      { class: "top" },
      el("span", { class: hasWon ? "star" : "id" }, hasWon && "★ ", isFinal ? tag(c.id) : "·"),
      hasWon && el("span", { class: "chip won" }, word("winner")),
      c.language && el("span", { class: "chip" }, languageName(c.language)),
      ...(c.parents?.length ? [madeFrom(c.parents)] : []),
    );
    const bar = (weight ?? null) !== null && el("div", { class: "bar", "aria-hidden": "true" }, el("i"));
    if (bar) bar.firstChild.style.inlineSize = `${Math.max(0, Math.min(1, weight)) * 100}%`;
    const measures = [
      (score ?? null) !== null && el("span", {}, `${word("score")} `, el("b", {}, number(score))),
      bar && el("span", {}, `${word("weight")} `, el("b", {}, share(weight))),
    ].filter(Boolean);
    const temperature = c.params ? (c.params.temperature ?? 1) : undefined; // the default is left out
    const facts = [
      temperature !== undefined && el("abbr", { title: word("temperature") }, `T ${number(temperature)}`),
      c.usage?.completion && `${word("tokens")} ${number(c.usage.completion, {})}`,
      isFinal && !c.error && c.finish && el("span", { class: c.finish === "length" && "bad" }, word(FINISH[c.finish] ?? "complete")),
      c.engine && el("bdi", {}, c.engine),
    ].filter(Boolean);
    const bottom = el("div", { class: "meta" }, measures.length > 0 && el("div", { class: "measures" }, ...measures), bar, el("div", { class: "facts" }, ...facts));
    if (!card.text.isConnected) card.node.replaceChildren(top, card.text, bottom);
    else {
      card.node.firstChild.replaceWith(top);
      card.node.lastChild.replaceWith(bottom);
    }
  }

  /** The table of tokens: as far as it is known while candidates arrive, and then the server's own. */
  account() {
    const n = this.nbest;
    const known = n?.usage_by_role ?? Object.fromEntries(Object.entries(this.written).map(([role, completion]) => [role, { completion }]));
    const rows = Object.entries(known);
    const columns = ["calls", "prompt", "cached", "completion"];
    const sum = (column) => rows.reduce((all, [, usage]) => all + (usage[column] ?? 0), 0);
    const cell = (x) => el("td", {}, x === undefined ? "…" : number(x, {}));
    const head = [word("role"), word("calls"), word("read"), word("cached"), word("written")];
    const facts = [
      [word("time"), n?.seconds !== undefined && seconds(n.seconds)],
      [word("compute"), (n?.flops ?? null) !== null && el("bdi", { dir: "ltr" }, flops(n.flops))],
      [word("money"), (n?.cost ?? null) !== null && number(n.cost, { maximumSignificantDigits: 3 })],
      [word("strategy"), n?.strategy && spec(n.strategy)],
    ].filter(([, value]) => n && value);
    this.cost.replaceChildren(
      el("h2", {}, word("cost"), " ", el("span", { class: "count" }, word("tokens"))),
      el(
        "div",
        { class: "scroll" },
        el(
          "table",
          {},
          el("thead", {}, el("tr", {}, ...head.map((h) => el("th", { scope: "col" }, h)))),
          el("tbody", {}, ...rows.map(([role, usage]) => el("tr", {}, el("th", { scope: "row" }, word(role)), ...columns.map((c) => cell(usage[c] ?? (n ? 0 : undefined)))))),
          n && rows.length > 1 && el("tfoot", {}, el("tr", {}, el("th", { scope: "row" }, word("total")), ...columns.map((c) => cell(sum(c))))),
        ),
      ),
      el("dl", {}, ...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
      ...(n?.notes?.length ? [el("h3", {}, word("notes")), el("ul", { class: "notes" }, ...n.notes.map((note) => el("li", {}, el("bdi", {}, note))))] : []),
    );
  }

  over(key, message) {
    if (this.isOver) return;
    this.isOver = true;
    this.node.removeAttribute("aria-busy");
    this.answer.classList.remove("waiting");
    for (const place of this.empty.splice(0)) place.remove();
    if (!this.answer.firstChild) this.answer.append(el("p", { class: "meta" }, word("no_answer")));
    if (message) {
      this.problem.textContent = message;
      this.problem.dir = "auto";
      this.problem.hidden = false;
    }
    this.calls = {};
    this.stage(key);
    if (this.nbest?.seconds !== undefined) this.tick(this.nbest.seconds);
    this.say(word(key));
  }
}

// A step gets its line break back.
const isSame = (a, b) => a.text.trim() === b.text.trim() && (a.error ?? null) === (b.error ?? null) && called(a) === called(b);
const reasoning = (c) => el("details", { class: "reasoning" }, el("summary", {}, word("reasoning")), prose(c.reasoning));
const called = (c) => JSON.stringify((c.tool_calls ?? []).map((t) => [t.name, t.arguments]));
const isSameDraw = (a, b) => a.engine === b.engine && a.params?.seed === b.params?.seed && a.params?.temperature === b.params?.temperature;

const madeFrom = (ids) => el("span", { class: "chip" }, word("made_from", { ids: ids.map((i) => `\u2066#${i}\u2069`).join(" ") }));
const tool = ({ name, arguments: given }) =>
  el("pre", { dir: "ltr", tabindex: 0, "aria-label": word("tool_call") }, el("code", {}, `${name}(${given})`));

function copyButton(text) {
  const button = el("button", { type: "button", class: "small" }, word("copy"));
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = word("copied");
  });
  return button;
}

// ---- why ----

function explained({ rationale, details, scores, weights, chosen }) {
  const replies = (details?.rounds ?? []).map((r) => r.reply).filter(Boolean);
  const rest = replies.reduce((text, reply) => text.replace(reply, ""), rationale ?? "").trim();
  const known = [
    (scores?.[chosen] ?? null) !== null && `${word("score")} ${number(scores[chosen])}`,
    (weights?.[chosen] ?? null) !== null && `${word("weight")} ${share(weights[chosen])}`,
  ].filter(Boolean);
  const others = Object.entries(details ?? {}).filter(([name]) => !["rounds", "critiques", "games", "values"].includes(name));
  const parts = [
    known.length > 0 && el("p", { class: "meta" }, known.join(" · ")),
    rest && prose(rest, /\p{L}/u.test(rest) ? undefined : language), // a tally reads as the labels around it do
    ...(details?.rounds ?? []).map(judged),
    ...(details?.critiques ?? []).map(judged),
    details?.games && games(details.games),
    others.length > 0 && el("details", {}, el("summary", {}, word("details")), json(Object.fromEntries(others))),
  ].filter(Boolean);
  return parts.length ? [el("h3", {}, word("why")), ...parts] : [];
}

const VERDICT = /\s*^\s*\[\[[^[\]\n]*\]\]\s*$(?![^])/m; // the last line: the marked place says it

/** One reply of a judge: its numbers are places in a shuffled order, not ids. A critic saw the one it is `of`. */
function judged({ of, verdict, shown = [], chosen, reply, problem }) {
  const critic = of !== undefined && el("span", { class: "chip" }, tag(of), verdict ? (verdict === 1 ? " ✓" : " ✗") : "");
  return el(
    "div",
    { class: "judged" },
    el(
      "p",
      { class: "seen" },
      el("span", { class: "meta" }, `${word("shown_as")} `),
      critic,
      ...shown.map((id, k) =>
        el("span", { class: id === chosen ? "chip won" : "chip" }, el("bdi", { dir: "ltr" }, `${k + 1} = #${id}${id === chosen ? " ★" : ""}`)),
      ),
    ),
    problem && el("p", { class: "bad" }, el("bdi", {}, problem)),
    reply && el("div", { class: "reply", tabindex: 0, role: "group", "aria-label": word("reply") }, prose(reply.replace(VERDICT, ""))),
  );
}

/** Games of two. The verdict is about A and B: it is shown with their ids, and the reply below who was which. */
function games(played) {
  const rows = played.map(({ a, b, verdict, reply, problem }) => {
    const [, left, sign] = /^([AB])(>>|>|=)/.exec(verdict ?? "") ?? [];
    const [first, second] = left === "B" ? [b, a] : [a, b];
    const line = el("bdi", { dir: "ltr" }, sign ? `#${first} ${SIGNS[sign]} #${second}` : `#${a} ? #${b}`);
    const seen = [a, b].map((id, k) => el("span", { class: "chip" }, el("bdi", { dir: "ltr" }, `${"AB"[k]} = #${id}`)));
    const said = reply && [el("p", { class: "seen" }, ...seen), prose(reply.replace(VERDICT, ""))];
    return el("details", {}, el("summary", {}, line, problem && el("span", { class: "bad" }, ` ${problem}`)), ...(said || []));
  });
  return el("div", { class: "reply", tabindex: 0, role: "group", "aria-label": word("reply") }, ...rows);
}

/** Whatever else a method tells, as nested lists; a list of ids or numbers is one line. */
function json(value) {
  if (typeof value === "string" && value.includes("\n")) return prose(value);
  if (value === null || typeof value !== "object") return el("bdi", {}, String(value));
  if (Array.isArray(value) && value.every((v) => typeof v === "number")) return el("bdi", { dir: "ltr" }, value.join(", "));
  const entries = Array.isArray(value) ? value.map((v, i) => [`${i + 1}.`, v]) : Object.entries(value);
  return el("ul", { class: "tree" }, ...entries.map(([key, v]) => el("li", {}, el("span", { class: "meta" }, `${key} `), json(v))));
}
