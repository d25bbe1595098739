// The slow way to Postgres, in a process of its own so that it takes no time of the node's.
//
//   node test/load/checkpoint-proxy.ts <host> <port>     with an IPC channel: it tells its port, and is told the delay in ms

import { DelayProxy } from "../kit/delay-proxy.ts";

const [host = "127.0.0.1", port = "5432"] = process.argv.slice(2);
const proxy = await DelayProxy.start(host, Number(port));
process.on("message", (delayMs: number) => {
  proxy.delayMs = delayMs;
  process.send?.(delayMs);
});
process.on("disconnect", () => process.exit(0));
process.send?.(proxy.port);
