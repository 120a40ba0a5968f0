#!/usr/bin/env node
// The command `drover-worker`: the process around it. What it does stands in command.ts.

import { run } from "./command.js";

process.exitCode = await run(process.argv.slice(2), (text) => process.stdout.write(text));
