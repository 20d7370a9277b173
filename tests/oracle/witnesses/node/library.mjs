// Libraries from where npm put them, which is not beside these files.
import { createRequire } from "node:module";

export const library = createRequire(`${process.env.REDISPERF_NODE_LIBRARIES}/node_modules/`);

export const times = (count, one) => Promise.all(Array.from({ length: count }, (_, number) => one(number)));
