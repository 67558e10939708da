// The gateway's side: its models, and a stream of chunks.

const KEY = "nbest.key";
const root = location.pathname.replace(/ui\/?$/, "");

/** A request to this server. A refusal becomes an Error with `status` and what the server said. */
async function call(path, options = {}) {
  const key = sessionStorage.getItem(KEY);
  let response;
  try {
    response = await fetch(root + path, {
      ...options,
      headers: { ...options.headers, ...(key && { Authorization: `Bearer ${key}` }) },
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(word("unreachable"));
  }
  if (response.ok) return response;
  const said = await response.json().then((body) => body.error?.message ?? body.error, () => null);
  const wait = response.headers.get("Retry-After");
  const parts = [
    typeof said === "string" && said ? said : word("refused", { status: response.status }),
    /^\d+$/.test(wait ?? "") && word("try_again", { s: number(Number(wait)) }),
  ];
  throw Object.assign(new Error(parts.filter(Boolean).join(" ")), { status: response.status });
}

/** The JSON of each event of a text/event-stream, until [DONE]; comments are left out. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let data = [];
  try {
    while (true) {
      const { value, done } = await reader.read();
      // A CR at the end may be half of a CRLF.
      const lines = (rest + (value ?? "")).split(done ? /\r\n|\n|\r/ : /\r\n|\n|\r(?=[^])/);
      rest = done ? "" : lines.pop();
      for (const line of lines) {
        if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
        else if (line === "" && data.length > 0) {
          const text = data.join("\n");
          data = [];
          if (text === "[DONE]") return;
          yield JSON.parse(text);
        }
      }
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
