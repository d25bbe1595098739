// The process behind `npm start`: environment, signals and exit code of the local cluster, and nothing else.
// scripts/start.js imports it once it has checked that this Node can run it.

import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { messageOf } from "../errors.ts";
import { systemClock } from "../runtime/clock.ts";
import { HELP } from "./commands.ts";
import { createLauncher, type Cluster } from "./launcher.ts";
import { readLocalSettings } from "./settings.ts";
import { EXIT, StartError } from "./start-error.ts";
import { greeting, openTerminal } from "./terminal.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

function fail(error: unknown): number {
  const isExpected = error instanceof StartError;
  const what = isExpected || !(error instanceof Error) ? messageOf(error) : (error.stack ?? error.message);
  process.stderr.write(`ringside: ${what}\n`);
  return isExpected ? error.exitCode : EXIT.failed;
}

async function main(): Promise<number> {
  const startedAt = systemClock.monotonicMs();
  const settings = readLocalSettings(process.env, root, process.argv.slice(2));
  let cluster: Cluster | undefined;
  let exitCode = 0;
  let isStopping = false;
  let finish: () => void = () => undefined;
  const finished = new Promise<void>((resolve) => (finish = resolve));

  const terminal = openTerminal((command) => {
    if (command.name === "quit") stop("");
    else if (isStopping) terminal.say("it is stopping; Ctrl-C hurries it");
    else if (cluster === undefined) terminal.say("it is starting; wait a moment");
    else cluster.do(command);
  });
  const launcher = createLauncher(settings, terminal.say, (why) => {
    exitCode = EXIT.failed;
    stop(`${why}; `);
  });
  const stop = (why: string): void => {
    if (!isStopping) terminal.say(`${why}stopping: rooms are saved first`);
    isStopping = true;
    launcher.stop().then(finish, (error: unknown) => {
      exitCode = fail(error);
      finish();
    });
  };
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => stop(""));

  try {
    cluster = await launcher.start();
    const help = process.stdin.isTTY ? HELP : undefined;
    for (const line of greeting(settings, cluster.nodes.list(), systemClock.monotonicMs() - startedAt, help))
      terminal.say(line);
  } catch (error) {
    // Whoever asked it to stop while it was starting knows why it did not start.
    if (!isStopping) {
      exitCode = fail(error);
      isStopping = true;
      void launcher.stop().then(finish, finish);
    }
  }
  await finished;
  if (exitCode === 0) terminal.say("stopped; all is saved");
  terminal.close();
  return exitCode;
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => process.exit(fail(error)),
);
