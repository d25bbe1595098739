// `npm start`: the local cluster. Checks Node first, and must itself be readable for any Node.
// On Linux, npm puts node_modules/.bin first on the PATH, and there `node` is the Node 24 that npm installed.

import("./check-node.js")
  .then(function (check) {
    var wrong = check.nodeTooOld();
    if (wrong !== undefined) {
      process.stderr.write("ringside: " + wrong + "\n");
      process.exit(78);
    }
    // Node 22 and 23 run TypeScript too, but say each time that this is an experiment.
    process.removeAllListeners("warning");
    return import("../src/local/main.ts");
  })
  .catch(function (error) {
    var isMissing = error && error.code === "ERR_MODULE_NOT_FOUND";
    process.stderr.write(
      isMissing
        ? "ringside: a package is missing; run `npm install` first (" + error.message.split("\n")[0] + ")\n"
        : "ringside: " + ((error && error.stack) || error) + "\n",
    );
    process.exit(1);
  });
