// Runs cases one after another, each named by a line of JSON with where the servers are; answers each with a line.
import { createInterface } from "node:readline";
import * as ioredis from "./ioredis.mjs";
import * as nodeRedis from "./node_redis.mjs";
import * as pg from "./pg.mjs";

const cases = { ...ioredis, ...nodeRedis, ...pg, node_ready: async () => {} };

const tooLate = (seconds) => new Promise((_, reject) => {
  setTimeout(() => reject(new Error(`did not end within ${seconds} s`)), seconds * 1000).unref();
});

for await (const line of createInterface({ input: process.stdin })) {
  const { name, at } = JSON.parse(line);
  try {
    await Promise.race([cases[name](at), tooLate(20)]);
    console.log(JSON.stringify({}));
  } catch (error) {
    console.log(JSON.stringify({ error: error.stack }));
  }
}
process.exit(0);
