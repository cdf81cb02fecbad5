// What `@runware/sdk-js` makes of a mock: `node runware_js.mjs ws URL KEY WHAT`; one line of JSON.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [transport, url, apiKey, what] = process.argv.slice(2);
const found = createRequire(`${process.env.CLIENT_FOLDER}/`).resolve("@runware/sdk-js");
const { Runware } = await import(pathToFileURL(found));
const more = { one: {}, three: { numberResults: 3 }, invalid: { numberResults: 99 } }[what];

try {
  const runware = await Runware.initialize({ apiKey, url: `${transport}${url.slice(4)}/v1`, timeoutDuration: 4000 });
  const results = await runware.requestImages({
    model: "prunaai:2@1",
    positivePrompt: "make it night",
    inputs: { referenceImages: ["https://pictures.example/a.png"] },
    ...more,
  });
  console.log(JSON.stringify({ results }));
} catch (error) {
  console.log(JSON.stringify({ error: error?.error?.code ?? error?.code ?? String(error) }));
}
process.exit(0);
