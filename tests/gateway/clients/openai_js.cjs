// OpenAI's JavaScript client, unchanged but for its base URL: what it gets, as JSON.
const OpenAI = require("openai");

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0 });
const messages = [{ role: "user", content: process.argv[3] }];
const tools = JSON.parse(process.argv[4]);
const schema = JSON.parse(process.argv[5]);
const ask = { model: "m", messages };

async function main() {
  const got = {};

  got.stream = [];
  const options = { include_usage: true };
  const stream = await client.chat.completions.create({ ...ask, model: "m@single", stream: true, stream_options: options });
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta.content) got.stream.push(chunk.choices[0].delta.content);
    if (chunk.usage) got.stream_tokens = chunk.usage.completion_tokens;
  }
  got.pool_stream = await client.chat.completions.stream(ask).finalContent();

  const called = await client.chat.completions.create({ ...ask, tools });
  const message = called.choices[0].message;
  got.calls = message.tool_calls.map((c) => [c.function.name, JSON.parse(c.function.arguments)]);
  const result = { role: "tool", tool_call_id: message.tool_calls[0].id, content: "雪" };
  const after = await client.chat.completions.create({ ...ask, messages: [...messages, message, result] });
  got.after_tool = after.choices[0].message.content;
  const streamed = await client.chat.completions.stream({ ...ask, tools }).finalChatCompletion();
  got.streamed_calls = streamed.choices[0].message.tool_calls.map((c) => [c.function.name, JSON.parse(c.function.arguments)]);

  const response_format = { type: "json_schema", json_schema: { name: "sum", strict: true, schema } };
  got.schema = (await client.chat.completions.parse({ ...ask, response_format })).choices[0].message.parsed;

  const several = await client.chat.completions.create({ ...ask, n: 3, nbest: { candidates: true } });
  got.n = several.choices.map((c) => c.message.content);
  got.nbest = several.nbest.num_candidates;
  got.tokens = several.usage.completion_tokens;

  const response = await client.responses.create({ model: "m", input: process.argv[3] });
  got.response = response.output_text;

  const thinking = [{ role: "user", content: `(think) ${process.argv[3]}` }];
  const reasoned = await client.chat.completions.create({ ...ask, messages: thinking });
  got.reasoning = reasoned.choices[0].message.reasoning_content;
  got.streamed_reasoning = [];
  for (const model of ["m", "m@single"]) {
    const final = await client.responses.stream({ model, input: thinking }).finalResponse();
    const [item, message] = final.output;
    got.streamed_reasoning.push([item.type, item.content[0].text, message.content[0].text]);
  }

  try {
    await client.chat.completions.create({ ...ask, model: "n" });
  } catch (e) {
    got.error = [e instanceof OpenAI.NotFoundError, e.code];
  }
  return got;
}

main().then((got) => console.log(JSON.stringify(got)));
