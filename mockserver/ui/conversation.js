// What was said in an exchange, as turns {who, words, kind}, whatever surface it was said to.

export function turns(exchange) {
  return [...asked(exchange.request), ...answered(exchange.response?.body)].filter((turn) => turn.words !== "");
}

function asked(body) {
  if (body === null || typeof body !== "object") return [];
  const found = [];
  if (body.instructions) found.push({ who: "instructions", words: text(body.instructions) });
  for (const message of list(body.messages)) found.push(...turn(message));
  for (const name of ["input", "prompt"]) {
    if (typeof body[name] === "string") found.push({ who: name, words: body[name] });
    else for (const item of list(body[name])) found.push(...turn(item, name));
  }
  return found;
}

function turn(item, name = "user") {
  if (item === null || typeof item !== "object") return [{ who: name, words: text(item) }];
  const who = item.role ?? item.type ?? name;
  const words = text(item.content ?? item.output ?? item.text ?? item.summary ?? "");
  const found = words ? [{ who, words }] : [];
  if (item.refusal) found.push({ who: `${who} refuses`, words: text(item.refusal) });
  for (const call of list(item.tool_calls)) found.push(called(call.function ?? call));
  if (item.type === "function_call") return [called(item)];
  return found;
}

const called = (call) => ({ who: "calls", words: `${call?.name ?? "?"}(${text(call?.arguments ?? "")})` });

export function text(content) {
  if (content === null || content === undefined) return "";
  if (typeof content === "string") return content;
  if (Array.isArray(content)) return content.map(text).filter(Boolean).join("\n");
  if (typeof content !== "object") return String(content);
  const words = content.text ?? content.refusal ?? content.content;
  return words === undefined || words === null ? `[${content.type ?? "object"}]` : text(words);
}

function answered(body) {
  if (typeof body === "string") return spoken(body);
  if (body === null || typeof body !== "object") return [];
  if (body.error) return [failure(body.error)];
  const found = list(body.choices).flatMap((choice) => turn({ role: "assistant", ...(choice.message ?? { content: choice.text }) }));
  found.push(...list(body.output).flatMap((item) => turn(item, "assistant")));
  if (typeof body.text === "string") found.push({ who: "text", words: body.text });
  if (body.object === "list" && Array.isArray(body.data)) found.push({ who: "list", words: `${body.data.length} × ${body.data[0]?.object ?? "nothing"}` });
  return found.map((each) => ({ ...each, kind: "answer" }));
}

const failure = (error) => ({ who: "error", words: text(error.message ?? error) || JSON.stringify(error), kind: "error" });

// A stream, put together from its events.
function spoken(stream) {
  const words = new Map();
  const calls = new Map();
  const failures = [];
  for (const line of stream.split(/\r?\n/)) {
    if (!line.startsWith("data:")) continue;
    let event;
    try {
      event = JSON.parse(line.slice(5));
    } catch {
      continue;
    }
    if (event?.error) failures.push(failure(event.error));
    else gather(event, words, calls);
  }
  const said = [...words].map(([index, each]) => ({ who: words.size > 1 ? `assistant ${index}` : "assistant", words: each, kind: "answer" }));
  if (!said.length && !calls.size && !failures.length && stream && !stream.includes("data:")) said.push({ who: "body", words: stream.slice(0, 2000), kind: "answer" });
  return [...said, ...[...calls.values()].map((call) => ({ ...called(call), kind: "answer" })), ...failures];
}

function gather(event, words, calls) {
  const add = (index, more) => words.set(index, (words.get(index) ?? "") + more);
  if (event?.type === "response.output_text.delta") add(event.output_index ?? 0, text(event.delta));
  if (event?.type === "response.output_item.done" && event.item?.type === "function_call") calls.set(event.output_index, event.item);
  for (const choice of list(event?.choices)) {
    const more = choice.delta?.content ?? choice.delta?.refusal ?? choice.text;
    if (typeof more === "string") add(choice.index ?? 0, more);
    for (const call of list(choice.delta?.tool_calls)) {
      const place = `${choice.index}/${call.index}`;
      const known = calls.get(place) ?? { name: "", arguments: "" };
      calls.set(place, { name: known.name + (call.function?.name ?? ""), arguments: known.arguments + (call.function?.arguments ?? "") });
    }
  }
}

const list = (value) => (Array.isArray(value) ? value : []);
