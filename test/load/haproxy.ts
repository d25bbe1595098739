// The machine's own HAProxy with deploy/haproxy.cfg before a test's nodes: the topology of docker-compose.yml.
//
// What it decides is heard from its log; how many connections lead where is asked of its runtime API.

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { Client } from "@colyseus/sdk";
import { systemClock } from "../../src/runtime/clock.ts";
import type { TestNode } from "../kit/cluster.ts";
import { fixedPort } from "../kit/fixed-port.ts";

const CONFIG = fileURLToPath(new URL("../../deploy/haproxy.cfg", import.meta.url));
/** The names that the configuration gives its three nodes, and what its variables call them. */
const PLACES = [
  ["node-a", "A"],
  ["node-b", "B"],
  ["node-c", "C"],
] as const;
const START_MS = 10_000;

/** Why HAProxy cannot be used here; undefined when it can. */
export function whyNoHaproxy(): string | undefined {
  const { error } = spawnSync("haproxy", ["-v"], { stdio: "ignore" });
  return error === undefined
    ? undefined
    : "there is no `haproxy` on this machine (Debian: apt-get install haproxy)";
}

export class Haproxy implements AsyncDisposable {
  readonly port: number;
  readonly log: string[] = [];
  readonly #process: ChildProcess;
  readonly #folder: string;
  #heard = Promise.withResolvers<void>();

  private constructor(port: number, process: ChildProcess, folder: string) {
    this.port = port;
    this.#process = process;
    this.#folder = folder;
    for (const stream of [process.stdout!, process.stderr!]) {
      // Both are pipes: see `spawn` below.
      createInterface({ input: stream }).on("line", (line) => {
        this.log.push(line);
        this.#heard.resolve();
        this.#heard = Promise.withResolvers<void>();
      });
    }
  }

  /** Starts it before these nodes, and waits until it has found of each whether it takes players. */
  static async start(nodes: readonly TestNode[], at?: number): Promise<Haproxy> {
    const folder = mkdtempSync(join(tmpdir(), "ringside-haproxy-"));
    const port = at ?? (await fixedPort());
    const env: NodeJS.ProcessEnv = {
      PATH: process.env["PATH"],
      RINGSIDE_BIND: `127.0.0.1:${port}`,
      RINGSIDE_CONNECTIONS_MAX: "500",
      RINGSIDE_STATS_SOCKET: join(folder, "stats"),
    };
    for (const [nodeId, letter] of PLACES) {
      const node = nodes.find((one) => one.nodeId === nodeId);
      if (node === undefined) throw new Error(`deploy/haproxy.cfg wants a ${nodeId}`);
      env[`RINGSIDE_${letter}_PUBLIC`] = `127.0.0.1:${node.publicPort}`;
      env[`RINGSIDE_${letter}_MANAGEMENT_PORT`] = String(node.managementPort);
    }
    const haproxy = new Haproxy(
      port,
      spawn("haproxy", ["-db", "-f", CONFIG], { env, stdio: ["ignore", "pipe", "pipe"] }),
      folder,
    );
    try {
      await haproxy.#untilReady();
    } catch (error) {
      await haproxy[Symbol.asyncDispose]();
      throw error;
    }
    return haproxy;
  }

  /** A stock SDK client through it. */
  client(): Client {
    return new Client(`ws://127.0.0.1:${this.port}`);
  }

  /** How many connections lead to each node now. */
  async sessions(): Promise<Map<string, number>> {
    return this.#numbers("scur");
  }

  /** How many requests each node was given so far, those for a WebSocket included. */
  async requests(): Promise<Map<string, number>> {
    return this.#numbers("stot");
  }

  /**
   * The first log line, from `after` on, that matches. Line 0 is the first it ever wrote.
   *
   * @throws after `ms`, telling what it wrote instead
   */
  async says(pattern: RegExp, { after = 0, ms = 20_000 } = {}): Promise<string> {
    const late = Promise.withResolvers<"late">();
    const cancel = systemClock.after(ms, () => late.resolve("late"));
    try {
      for (;;) {
        const line = this.log.slice(after).find((each) => pattern.test(each));
        if (line !== undefined) return line;
        if ((await Promise.race([this.#heard.promise, late.promise])) === "late") {
          throw new Error(
            `HAProxy did not say ${pattern.source} within ${ms} ms, but:\n${this.log.slice(after).join("\n")}`,
          );
        }
      }
    } finally {
      cancel();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const exited = new Promise((resolve) => this.#process.once("exit", resolve));
      this.#process.kill("SIGKILL");
      await exited;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** It takes nodes for up until its first look at them, and has no line for that look. */
  async #untilReady(): Promise<void> {
    const endsMs = systemClock.monotonicMs() + START_MS;
    for (;;) {
      const rows = await this.#stats().catch(() => []); // its socket is not there yet
      // L7OKC: it lives, and takes no players.
      if (rows.length > 0 && rows.every((row) => row["check_status"]?.startsWith("L7OK") === true)) return;
      if (systemClock.monotonicMs() > endsMs || this.#process.exitCode !== null) {
        throw new Error(`HAProxy is not ready:\n${this.log.join("\n")}\n${JSON.stringify(rows)}`);
      }
      await systemClock.sleep(20);
    }
  }

  async #numbers(column: string): Promise<Map<string, number>> {
    return new Map((await this.#stats()).map((row) => [row["svname"] ?? "", Number(row[column])]));
  }

  /** The rows of its nodes. */
  async #stats(): Promise<Record<string, string>[]> {
    const socket = connect(join(this.#folder, "stats"));
    socket.end("show stat\n");
    const [head = "", ...lines] = (await text(socket)).trim().split("\n");
    const names = head.replace(/^# /, "").split(",");
    return lines
      .map((line) => Object.fromEntries(line.split(",").map((value, index) => [names[index] ?? "", value])))
      .filter((row) => row["pxname"] === "nodes" && row["svname"] !== "BACKEND");
  }
}
