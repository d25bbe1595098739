// What a node still needs when its garbage is gone: asked of it on its management port, because from outside a heap that has
// not been collected for a while looks like one that leaks.

import type { IncomingMessage, ServerResponse } from "node:http";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { TestNode } from "../kit/cluster.ts";

const PATH = "/chaos/memory";
const ANSWERS_MS = 5_000;
const MB = 1024 * 1024;

interface Memory {
  /** What lives: objects, and buffers beside them. */
  readonly livingMb: number;
  /** What the system has given the process, and V8 does not always give back. */
  readonly residentMb: number;
}

/** The node's side. */
export function answerMemory(request: IncomingMessage, response: ServerResponse): void {
  if (request.url !== PATH) {
    response.writeHead(404).end();
    return;
  }
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void; // with that flag each new context has it
  collect();
  // What was waiting for a finalizer goes with the second.
  setImmediate(() => {
    collect();
    const { heapUsed, external, rss } = process.memoryUsage();
    const memory: Memory = { livingMb: (heapUsed + external) / MB, residentMb: rss / MB };
    response.end(JSON.stringify(memory));
  });
}

/** @returns endlessly much where the node does not answer: it cannot be said to be back at its level */
export async function memoryOf({ managementPort }: TestNode): Promise<Memory> {
  try {
    const signal = AbortSignal.timeout(ANSWERS_MS);
    const response = await fetch(`http://127.0.0.1:${managementPort}${PATH}`, { signal });
    return (await response.json()) as Memory; // answerMemory's
  } catch {
    return { livingMb: Number.POSITIVE_INFINITY, residentMb: Number.POSITIVE_INFINITY };
  }
}
