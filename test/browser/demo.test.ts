// The demo as a person meets it: `npm start`, a real browser, a kill in the middle of the game.

import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium, type Browser, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ClusterReport } from "../../src/ops/cluster-report.ts";
import { until } from "../kit/until.ts";

const CHROMIUM = "/usr/bin/chromium";
const START = fileURLToPath(new URL("../../scripts/start.js", import.meta.url));

/** A port that is free now, as is the one a thousand above it. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 20_000);
    if ((await canListen(port)) && (await canListen(port + 1_000))) return port;
  }
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

interface Stats {
  readonly status: string;
  readonly sessionId: string;
  readonly roomId: string;
  readonly score: number;
  readonly patches: number;
  readonly node: string | null;
  readonly epoch: number;
  readonly lastFailover: { readonly text: string } | null;
}

const readStats = (page: Page): Promise<Stats> =>
  page.evaluate(() => {
    const { stats } = (window as unknown as { ringsideDemo: { stats: Stats } }).ringsideDemo;
    return { ...stats, lastFailover: stats.lastFailover && { text: stats.lastFailover.text } };
  });

/** Runs in the page: the keys that lead to the nearest gem. */
function towardsGem(): string[] {
  interface Spot {
    readonly x: number;
    readonly y: number;
  }
  interface Field {
    readonly players: Map<string, Spot>;
    readonly gems: Map<string, Spot>;
  }
  const { room } = (window as unknown as { ringsideDemo: { room: { sessionId: string; state: Field } } })
    .ringsideDemo;
  const me = room.state.players.get(room.sessionId);
  if (me === undefined) return [];
  const distance = (gem: Spot): number => Math.hypot(gem.x - me.x, gem.y - me.y);
  const gem = [...room.state.gems.values()].sort((a, b) => distance(a) - distance(b))[0];
  if (gem === undefined) return [];
  const keys: string[] = [];
  if (Math.abs(gem.x - me.x) > 4) keys.push(gem.x > me.x ? "KeyD" : "KeyA");
  if (Math.abs(gem.y - me.y) > 4) keys.push(gem.y > me.y ? "KeyS" : "KeyW");
  return keys;
}

describe.skipIf(!existsSync(CHROMIUM))("the demo in a browser (skipped where there is no chromium)", () => {
  const dataDir = mkdtempSync(join(tmpdir(), "ringside-demo-"));
  let launcher: ChildProcess;
  let browser: Browser;
  let port: number;
  let output = "";

  const cluster = async (): Promise<ClusterReport> =>
    (await (await fetch(`http://127.0.0.1:${port + 1_000}/api/cluster`)).json()) as ClusterReport;

  beforeAll(async () => {
    port = await freePort();
    launcher = spawn(process.execPath, [START], {
      env: {
        PATH: process.env["PATH"],
        HOME: process.env["HOME"],
        PORT: String(port),
        RINGSIDE_DATA_DIR: dataDir,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    launcher.stdout?.on("data", (chunk: Buffer) => (output += String(chunk)));
    launcher.stderr?.on("data", (chunk: Buffer) => (output += String(chunk)));
    await until("the cluster is up", () => output.includes("Ringside is up"), { ms: 50_000 });
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    });
  });

  afterAll(async () => {
    await browser?.close();
    const exited = new Promise((resolve) => launcher.once("exit", resolve));
    launcher.kill("SIGINT");
    await exited;
    rmSync(dataDir, { recursive: true, force: true });
  });

  test("[REC1] [SEAT2] a player scores, the room's node is killed from the page, and play goes on in the same seat", async () => {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    const faults: string[] = [];
    page.on("pageerror", (error) => faults.push(error.message));
    await page.goto(`http://localhost:${port}/`);
    await until("the page plays", async () => {
      const stats = await readStats(page).catch(() => undefined);
      return stats?.status === "here" && stats.node !== null && stats.patches > 10;
    });

    // Walk to the nearest gem, as a person would, until one is collected.
    await until(
      "a score",
      async () => {
        const keys = await page.evaluate(towardsGem);
        for (const key of keys) await page.keyboard.down(key);
        await page.waitForFunction(
          (after) => {
            const demo = (window as unknown as { ringsideDemo: { stats: Stats } }).ringsideDemo;
            return demo.stats.patches > after;
          },
          (await readStats(page)).patches + 3,
        );
        for (const key of keys) await page.keyboard.up(key);
        return (await readStats(page)).score > 0;
      },
      { ms: 60_000 },
    );
    // What the SDK itself asks for before it retries: five seconds in the room.
    await page.waitForFunction(() => {
      const demo = (window as unknown as { ringsideDemo: { stats: Stats } }).ringsideDemo;
      return demo.stats.patches > 130;
    });

    // The score is in a checkpoint: one that was begun after the score was made.
    const rowOf = async (roomId: string) => (await cluster()).rooms.find((room) => room.roomId === roomId);
    const { roomId, score: savedScore } = await readStats(page);
    const seqThen = (await rowOf(roomId))?.checkpoint?.seq ?? 0;
    await until("it is saved", async () => ((await rowOf(roomId))?.checkpoint?.seq ?? 0) >= seqThen + 2);

    // What a crash would lose now, of this room and of all: as old as a crowded machine makes it, but told.
    await expect
      .poll(() => page.locator('#strip [data-part="would lose"] b').textContent())
      .toMatch(/^\d+\.\d s$/);
    expect(await page.locator("#rpo").textContent()).toMatch(
      /^A crash would lose \d+\.\d s at most, p99 \d+\.\d s$/,
    );

    const before = await readStats(page);
    expect((await rowOf(roomId))?.nodeId).toBe(before.node);
    await page
      .getByRole("button", { name: new RegExp(`kill.*${before.node}|${before.node}.*kill`, "i") })
      .click();

    await until("the banner tells of it", async () => (await readStats(page)).lastFailover !== null, {
      ms: 20_000,
    });
    const patchesThen = (await readStats(page)).patches;
    await until("play goes on", async () => (await readStats(page)).patches > patchesThen + 20);
    const after = await readStats(page);
    expect(after).toMatchObject({ status: "here", sessionId: before.sessionId, roomId: before.roomId });
    expect(after.node).not.toBe(before.node);
    expect(after.epoch).toBe(before.epoch + 1);
    expect(after.lastFailover?.text).toContain(before.node);
    expect(after.score).toBeGreaterThanOrEqual(savedScore);
    expect(faults).toEqual([]);
    await until("the terminal tells it too", () => output.includes(`${before.node}`) && /back/.test(output));
    await page.close();
  });

  test("on a phone the page fits, plays, and leaves nothing to scroll to", async () => {
    const page = await browser.newPage({
      viewport: { width: 360, height: 740 },
      hasTouch: true,
      isMobile: true,
    });
    await page.goto(`http://localhost:${port}/`);
    await until("the page plays", async () => {
      const stats = await readStats(page).catch(() => undefined);
      return stats?.status === "here" && stats.node !== null && stats.patches > 10;
    });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    expect(overflow).toBeLessThanOrEqual(0);
    const hidden = await page.evaluate(() => {
      const strip = document.querySelector("#strip");
      return strip === null ? Number.NaN : strip.scrollWidth - strip.clientWidth;
    });
    expect(hidden, "px of the strip that cannot be seen").toBe(0);
    await page.close();
  });
});
