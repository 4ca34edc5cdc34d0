// Express, and what many write by hand beside it: `protected` at /mcp and below, else `public`.
// Its first argument is the port, the second a folder from which `express` can be had.
import { createRequire } from "node:module";

const [port, folder] = process.argv.slice(2);
const express = createRequire(`${folder}/`)("express");
const app = express();
const protect = (_, response) => response.send("protected");
app.use((request, response, next) => {
  let path = "";
  try {
    path = new URL(request.url, "http://localhost").pathname;
  } catch {}
  if (/^\/mcp(\/|$)/i.test(path)) protect(request, response);
  else next();
});
app.use("/mcp", protect);
app.use((_, response) => response.send("public"));
app.listen(Number(port), "127.0.0.1");
