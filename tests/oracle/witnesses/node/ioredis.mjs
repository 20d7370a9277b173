import { library, times } from "./library.mjs";

const { Redis } = library("ioredis");

async function using(options, use) {
  const redis = new Redis({ retryStrategy: null, ...options });
  try {
    await use(redis);
  } finally {
    redis.disconnect();
  }
}

const at = ({ redis_port }, options) => ({ host: "127.0.0.1", port: redis_port, ...options });

async function fiveGets(redis) {
  for (let number = 0; number < 5; number++) await redis.get("key");
}

export const ioredis_get = (where) => using(at(where), fiveGets);
export const ioredis_unix = (where) => using({ path: where.redis_unix }, fiveGets);
export const ioredis_login = (where) =>
  using(at(where, { username: "guest", password: where.redis_password, db: 3, connectionName: "oracle" }), fiveGets);
export const ioredis_no_ready_check = (where) => using(at(where, { enableReadyCheck: false }), fiveGets);

export const ioredis_together = (where) => using(at(where), async (redis) => {
  await redis.get("key");
  await times(10, (number) => redis.get(`key:${number}`));
});

export const ioredis_auto_pipelining = (where) => using(at(where, { enableAutoPipelining: true }), async (redis) => {
  await redis.get("key");
  await times(10, (number) => redis.get(`key:${number}`));
});

export const ioredis_pipeline = (where) => using(at(where), async (redis) => {
  const pipeline = redis.pipeline();
  for (let number = 0; number < 100; number++) pipeline.set(`key:${number}`, "x");
  await pipeline.exec();
});

export const ioredis_multi = (where) => using(at(where), async (redis) => {
  await redis.multi().rpush("turns", "a").ltrim("turns", -5, -1).expire("turns", 60).exec();
});

export const ioredis_script = (where) => using(at(where), async (redis) => {
  redis.defineCommand("echoed", { numberOfKeys: 1, lua: "return ARGV[1] -- ioredis" });
  for (let number = 0; number < 3; number++) await redis.echoed("key", "value");
});

export const ioredis_pubsub = (where) => using(at(where), (listener) => using(at(where), async (redis) => {
  await listener.subscribe("news", "weather");
  const heard = new Promise((resolve) => listener.once("message", resolve));
  await redis.publish("news", "hello");
  await heard;
}));
