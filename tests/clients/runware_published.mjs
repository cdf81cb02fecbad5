// The published @runware/sdk-js, unmodified, over its WebSocket. Its waits are real seconds: run it with `--time-scale 1`.
import { createRequire } from "node:module";
const { Runware } = createRequire(`${process.cwd()}/`)("@runware/sdk-js");

try {
  const client = await Runware.initialize({
    apiKey: process.env.WIREPROOF_KEY,
    url: `${process.env.WIREPROOF_URL.replace(/^http/, "ws")}/v1`,
  });
  const pictures = await client.requestImages({
    model: "prunaai:2@1",
    positivePrompt: "a red fox",
    inputs: { referenceImages: ["https://example.com/fox.png"] },
    numberResults: 1,
  });
  console.log(JSON.stringify(pictures));
  if (!pictures?.length) throw new Error("no pictures");
  process.exit(0);
} catch (error) {
  console.error(typeof error === "string" ? error : (error?.message ?? JSON.stringify(error)));
  process.exit(1);
}
