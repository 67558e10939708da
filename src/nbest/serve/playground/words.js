// Labels, numbers and names of languages, in the language of the interface.

const DATA = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

const RIGHT_TO_LEFT = new Set(["ar", "arc", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"]);
const base = (code) => code?.toLowerCase().split("-")[0];

let language = "en";

/** A label with its {places} filled. */
const word = (key, values = {}) =>
  (DATA.words[language][key] ?? DATA.words.en[key]).replace(/\{(\w+)\}/g, (_, name) => values[name]);

const number = (x, options = { maximumSignificantDigits: 4 }) =>
  new Intl.NumberFormat(language, options).format(x);
const share = (x) => number(x, { style: "percent", maximumFractionDigits: 0 });
const seconds = (x) => {
  const digits = x < 1 ? { maximumSignificantDigits: 2 } : { maximumFractionDigits: x < 10 ? 1 : 0 };
  return number(x, { style: "unit", unit: "second", unitDisplay: "short", ...digits });
};

/** 3.1e12 → "3.1 TFLOP": floating-point operations have SI prefixes in every language. */
function flops(x) {
  const step = Math.max(0, Math.min(6, Math.floor(Math.log10(Math.max(x, 1)) / 3)));
  return `${number(x / 1000 ** step, { maximumSignificantDigits: 3 })} ${["", "k", "M", "G", "T", "P", "E"][step]}FLOP`;
}

/** What `code` is called in the language of the interface, or in `inside`; the code itself where nobody knows. */
function languageName(code, inside = language) {
  try {
    return new Intl.DisplayNames([inside], { type: "language" }).of(code);
  } catch {
    return code;
  }
}

const SCRIPTS = [
  [/[\p{sc=Hira}\p{sc=Kana}]/u, "ja"],
  [/\p{sc=Hang}/u, "ko"],
  [/\p{sc=Han}/u, "zh"],
  [/\p{sc=Arab}/u, "ar"],
  [/\p{sc=Hebr}/u, "he"],
  [/\p{sc=Deva}/u, "hi"],
  [/\p{sc=Thai}/u, "th"],
  [/\p{sc=Cyrl}/u, "ru"],
];

/** A language whose fonts suit the text, where its own is not known. */
const scriptLanguage = (text) => SCRIPTS.find(([script]) => script.test(text))?.[1];

const RTL_LETTER = /[\p{sc=Arab}\p{sc=Hebr}\p{sc=Syrc}\p{sc=Thaa}\p{sc=Nkoo}\p{sc=Adlm}]/u;

/**
 * Direction of a text: by its first letter. In a language that is written from the right, also where it
 * begins with a foreign name, or has no letters at all.
 */
function direction(text, code) {
  const first = /\p{L}/u.exec(text)?.[0];
  const isRight = RIGHT_TO_LEFT.has(base(code)) ? !first || RTL_LETTER.test(text) : RTL_LETTER.test(first ?? "");
  return isRight ? "rtl" : "ltr";
}

/** Says everything that index.html leaves unsaid. */
function label() {
  document.documentElement.lang = language;
  document.documentElement.dir = RIGHT_TO_LEFT.has(language) ? "rtl" : "ltr";
  document.title = `nbest · ${word("playground")}`;
  for (const node of document.querySelectorAll("[data-word]")) node.textContent = word(node.dataset.word);
  for (const node of document.querySelectorAll("[data-placeholder]"))
    node.placeholder = word(node.dataset.placeholder);
  for (const node of document.querySelectorAll("[data-name]")) {
    node.setAttribute("aria-label", word(node.dataset.name));
    node.title = node.id === "stage" ? "" : word(node.dataset.name);
  }
}
