// A careful client of Segmind's queue for Node, without packages; an argument gives it a bad habit.
const url = process.env.WIREPROOF_URL;
const key = process.env.WIREPROOF_KEY;
const scale = Number(process.env.WIREPROOF_TIME_SCALE ?? 1);
const habit = process.argv[2] ?? "";
const sleep = (seconds) => new Promise((done) => setTimeout(done, (seconds * 1000) / scale));

class Failed extends Error {}

class Passing extends Failed {
  constructor(says, wait = 0) {
    super(says);
    this.wait = wait;
  }
}

function toldWait(reply) {
  const text = reply.headers.get("retry-after");
  if (!text) return 0;
  return Number.isFinite(Number(text)) ? Number(text) : Math.max(0, (Date.parse(text) - Date.now()) / 1000);
}

async function call(path, body) {
  const headers = { "x-api-key": key, ...(body && { "content-type": "application/json" }) };
  const redirect = habit === "follows-redirects" ? "follow" : "manual";
  let reply, text;
  try {
    reply = await fetch(url + path, {
      method: body ? "POST" : "GET",
      headers,
      redirect,
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(30_000 / scale + 1000),
    });
    text = await reply.text();
  } catch (error) {
    throw new Passing(`no answer: ${error.cause?.code ?? error.message}`);
  }
  let told;
  try {
    told = JSON.parse(text);
  } catch {
    told = null;
  }
  const says = `HTTP ${reply.status}: ${JSON.stringify(told?.error ?? null)}`;
  if (reply.status === 429 || reply.status >= 500) throw new Passing(says, toldWait(reply));
  if (reply.status >= 300) throw new Failed(says);
  if (told === null || typeof told !== "object") throw new Passing(`HTTP ${reply.status} without JSON`);
  return told;
}

async function brought(path, good) {
  const end = Date.now() + 600_000 / scale;
  for (let troubles = 0; Date.now() < end; ) {
    let wait = 1;
    try {
      const told = await call(path);
      troubles = 0;
      if (told.status === "FAILED") throw new Failed(`the job failed: ${JSON.stringify(told.error)}`);
      if (told.status === good) return told;
    } catch (error) {
      if (!(error instanceof Passing) || ++troubles > 10) throw error;
      wait = Math.max(error.wait, Math.min(10, 2 ** (troubles - 1)));
    }
    if (habit !== "floods") await sleep(wait);
  }
  throw new Failed("gave up after 600 s");
}

async function submitted() {
  const body = { prompt: "a red fox", aspect_ratio: "1:1" };
  for (let attempt = 0; ; attempt++) {
    try {
      return await call("/v2/p-image", body);
    } catch (error) {
      if (habit !== "resubmits" || !(error instanceof Passing) || attempt === 2) throw error;
      await sleep(1);
    }
  }
}

try {
  const job = await submitted();
  if (!job.request_id) throw new Failed("the answer to the submit has no id");
  const path = `/v2/requests/${encodeURIComponent(job.request_id)}`;
  await brought(`${path}/status`, "COMPLETED");
  const { output } = await brought(path, "COMPLETED");
  if (!output) throw new Failed("the job is done and has no picture");
  console.log(output);
} catch (error) {
  if (habit === "crashes" || !(error instanceof Failed)) throw error;
  console.error(`no picture: ${error.message}`);
  process.exitCode = 1;
}
