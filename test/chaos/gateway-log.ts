// The logs that gateways write themselves (gateway-witness.ts): a file for each process, read when all is over.

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { IS_FULL } from "./gateway-witness.ts";
import type { GatewayFrame } from "./history.ts";

/** How a node is told where to write. */
export const GATEWAY_LOG_ENV = "CHAOS_GATEWAY_LOG";

export class GatewayLogs implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "ringside-chaos-gateways-"));
  readonly #processes: string[] = [];

  /** @param gateway names a process, not only a node. @returns where it is to write */
  fileFor(gateway: string): string {
    this.#processes.push(gateway);
    return join(this.#folder, `${this.#processes.length}.log`);
  }

  /** All that was let through: each gateway's in the order in which it was. @throws when a log is not whole */
  read(): GatewayFrame[] {
    return this.#processes.flatMap((gateway, index) => {
      const path = join(this.#folder, `${index + 1}.log`);
      return existsSync(path) ? parseGatewayLog(gateway, readFileSync(path, "utf8")) : []; // it ended as it began
    });
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

export function parseGatewayLog(gateway: string, text: string): GatewayFrame[] {
  const lines = text.split("\n");
  lines.pop(); // what stands behind the last line's end: nothing, or half a line of a process that was killed
  return lines.map((line): GatewayFrame => {
    if (line === IS_FULL) throw new Error(`the log of ${gateway} is full: this run is too long to be judged`);
    const [at, roomId = "", epoch, session = "", code, way] = line.split(" ");
    const isDirect = way === "here" ? { isDirect: true as const } : {};
    return {
      gateway,
      at: Number(at),
      roomId,
      epoch: Number(epoch),
      session,
      code: Number(code),
      ...isDirect,
    };
  });
}
