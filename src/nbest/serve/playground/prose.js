// Text that people and models wrote. It enters the page as text nodes only.

/** A new element: attributes (class, lang, …) and children, strings becoming text. */
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) node.setAttribute(key, value);
  }
  node.append(...children.filter((c) => c !== undefined && c !== null && c !== false));
  return node;
}

/** An identifier, whatever direction it stands in. */
const tag = (id) => el("bdi", { dir: "ltr" }, `#${id}`);

/** A strategy's spec, broken into lines between its parts. */
const spec = (text) => el("code", { dir: "ltr" }, ...text.split(/(?<=[(=,])/).flatMap((part) => [part, el("wbr")]));

/** Text of its own language and direction, its line breaks kept, the commonest Markdown drawn. */
function prose(text, code) {
  const lang = code ?? scriptLanguage(text);
  return el("div", { class: "prose", lang, dir: direction(text, lang) }, ...blocks(text, lang));
}

const MARKER = /^(\s*)([-*•‣·]|\(?\p{Nd}{1,3}[.)）])(\s+)(?=\S)|^(\s*)(\p{Nd}{1,3}[、．])()/u;
const isRow = (line) => /^\s*\|.*\|\s*$/.test(line ?? "");
const isRule = (line) => /^\s*\|(?:\s*:?-+:?\s*\|)+\s*$/.test(line ?? "");

function* blocks(text, lang) {
  const lines = text.split(/\r\n|\n|\r/);
  const dir = (written) => direction(written, lang);
  let paragraph = [];
  const ended = function* () {
    const written = paragraph.join("\n");
    paragraph = [];
    if (written.trim()) yield el("p", { dir: dir(written) }, ...inline(written));
  };
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i];
    const fence = /^\s*(```|~~~)/.exec(line)?.[1];
    const heading = /^#{1,6}\s+(.+?)\s*#*$/.exec(line);
    const item = MARKER.exec(line);
    if (!(fence || heading || item || !line.trim() || (isRow(line) && isRule(lines[i + 1])))) {
      paragraph.push(line);
      continue;
    }
    yield* ended();
    if (fence) {
      const end = lines.findIndex((l, j) => j > i && l.trim().startsWith(fence));
      const last = end < 0 ? lines.length : end;
      yield el("pre", { dir: "ltr", tabindex: 0 }, el("code", {}, lines.slice(i + 1, last).join("\n")));
      i = last;
    } else if (heading) {
      yield el("h4", { dir: dir(line) }, ...inline(heading[1]));
    } else if (item) {
      const marker = item[2] ?? item[5];
      const depth = Math.min(4, Math.floor((item[1] ?? item[4]).replace(/\t/g, "    ").length / 2));
      const rest = line.slice(item[0].length);
      yield el(
        "div",
        { class: `item depth-${depth}`, dir: dir(rest) },
        el("span", { class: "marker" }, marker),
        el("span", {}, ...inline(rest)),
      );
    } else if (isRow(line)) {
      const rows = [line];
      for (i += 2; isRow(lines[i]); i++) rows.push(lines[i]);
      i--;
      yield el("div", { class: "scroll", tabindex: 0 }, table(rows, dir));
    }
  }
  yield* ended();
}

function table(rows, dir) {
  const cells = rows.map((row) => row.trim().slice(1, -1).split(/(?<!\\)\|/).map((c) => c.trim()));
  const [head, ...body] = cells.map((row, k) =>
    el("tr", {}, ...row.map((c) => el(k ? "td" : "th", { dir: dir(c) }, ...inline(c)))),
  );
  return el("table", {}, el("thead", {}, head), el("tbody", {}, ...body));
}

/** **Strong** and `code`; everything else as it is. */
const inline = (text) =>
  text.split(/(\*\*(?=\S)[^*\n]*[^\s*]\*\*|`[^`\n]+`)/).map((part, k) => {
    if (k % 2 === 0) return part;
    return part[0] === "`" ? el("code", { dir: "ltr" }, part.slice(1, -1)) : el("strong", {}, part.slice(2, -2));
  });
