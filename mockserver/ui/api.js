// The only way to the server, and only to /__admin.

export class Refused extends Error {}

async function ask(method, path, body) {
  const options = { method, headers: body === undefined ? {} : { "content-type": "application/json" } };
  if (body !== undefined) options.body = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(`/__admin/${path}`, options);
  const text = await response.text();
  let answer = null;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new Refused(`the server answered ${response.status} with no JSON`);
  }
  if (!response.ok) throw new Refused(answer?.error?.message ?? `the server answered ${response.status}`);
  return answer;
}

export const get = (path) => ask("GET", path);
export const post = (path, body) => ask("POST", path, body);
export const put = (path, body) => ask("PUT", path, body);
export const remove = (path) => ask("DELETE", path);
