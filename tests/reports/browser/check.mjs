// Opens pages in Chromium, and prints what is wrong with them as JSON: faults that axe finds, console errors, requests.
// usage: node check.mjs CHROMIUM [--pictures FOLDER] PAGE.html...
// It needs axe-core and puppeteer-core, in a folder above this file or in $NODE_PATH.
import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";

const require = createRequire(import.meta.url);
const puppeteer = require("puppeteer-core");
const axe = await readFile(require.resolve("axe-core/axe.min.js"), "utf8");

const [chromium, ...rest] = process.argv.slice(2);
const pictures = rest[0] === "--pictures" ? rest.splice(0, 2)[1] : null;

const browser = await puppeteer.launch({ executablePath: chromium, args: ["--no-sandbox", "--disable-gpu"] });
const found = [];
try {
  for (const file of rest) {
    for (const scheme of ["light", "dark"]) {
      for (const width of [390, 1280]) found.push(await look(file, scheme, width));
    }
    if (pictures) await print(file);
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify(found, null, 1));

async function look(file, scheme, width) {
  const page = await browser.newPage();
  const errors = [];
  const requests = [];
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("request", (request) => requests.push(request.url()));
  await page.setViewport({ width, height: 900 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  const address = pathToFileURL(path.resolve(file)).href;
  await page.goto(address);
  const size = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]);
  const nameOf = `${path.basename(file, ".html")}-${scheme}-${width}`;
  if (pictures) await page.screenshot({ path: path.join(pictures, `${nameOf}.png`), fullPage: true });
  await page.evaluate(() => document.querySelectorAll("details").forEach((one) => (one.open = true)));
  if (pictures) {
    const clip = { x: 0, y: 0, width, height: 12000 };  // Chromium refuses a page of 60,000 pixels
    await page.screenshot({ path: path.join(pictures, `${nameOf}-open.png`), clip });
  }
  // The policy of the page blocks a script element, but not what the debugger evaluates.
  await page.evaluate(axe);
  const result = await page.evaluate(async () => await globalThis.axe.run());
  const faults = result.violations.map(({ id, impact, nodes }) => ({
    id,
    impact,
    count: nodes.length,
    first: nodes[0].html.slice(0, 200),
    summary: nodes[0].failureSummary,
  }));
  const styled = await page.evaluate(() => getComputedStyle(document.querySelector("nav ul")).listStyleType === "none");
  await page.close();
  const others = requests.filter((one) => one !== address);
  return { file, scheme, width, size, faults, errors, requests: others, styled };
}

async function print(file) {
  const page = await browser.newPage();
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
  await page.goto(pathToFileURL(path.resolve(file)).href);
  await page.pdf({ path: path.join(pictures, `${path.basename(file, ".html")}.pdf`), format: "A4", printBackground: true });
  await page.close();
}
