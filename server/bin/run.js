/**
 * Runs the built program with what V8 has kept of it from an earlier start:
 * every function that ran, compiled. To compile them is a third of a start.
 */
// An ES import would read every export of these, and some of those load more.
const [
  { createRequire },
  fs,
  path,
  { pathToFileURL },
  { setFlagsFromString, ...v8 },
  vm,
  { crc32 },
  channels,
] = ["module", "fs", "path", "url", "v8", "vm", "zlib", "diagnostics_channel"].map((name) =>
  process.getBuiltinModule(`node:${name}`),
);

// By default V8 lets garbage grow to three times what is alive before it collects: under load
// that was 50 MiB more, and no request the faster for it.
setFlagsFromString("--heap-growing-percent=50");
// Of a request's objects next to none outlive it: one thread is done with a young generation in a
// third of a millisecond. Several spend up to five on each other where they share a core.
setFlagsFromString("--no-parallel-scavenge");
// Where thousands of requests wait, V8 sees their objects live long and puts new ones among the old.
// From there they keep alive whatever they name, so that from then on every request is copied twice.
setFlagsFromString("--no-allocation-site-pretenuring");
// A start is over before code made by the optimising compilers pays for itself: without them it takes
// a tenth less. From when one is over they do their work.
let areOptimising = false;

function setCompilers(prefix) {
  for (const name of ["opt", "maglev"]) setFlagsFromString(`--${prefix}${name}`);
}

setCompilers("no-");
setTimeout(() => {
  areOptimising = true;
  setCompilers("");
}, 1000).unref();

// What checks a server's health comes without the server; where there is more to say the whole program does that too.
const args = process.argv.slice(2, -1);
const isPlain =
  args.length === 0 ||
  (args.length === 1 ? args[0].startsWith("--config=") : args.length === 2 && args[0] === "--config");
const program = isPlain && process.argv[process.argv.length - 1] === "healthcheck" ? "check" : "main";
const filename = path.join(import.meta.dirname, `../dist/bundle/${program}.js`);
// Beside the code itself, so that only who may change the code may change what is made of it, whatever
// new files may be (umask(2)); where that folder is not writable nothing is kept.
const folder = path.join(import.meta.dirname, "../dist/compile-cache");

/** Gives back megabytes at once: garbage outside the heap has V8 collect what is in it, in the midst of a start. */
function release({ buffer }) {
  // Small ones are in one that all small ones share.
  if (buffer.byteLength > Buffer.poolSize) buffer.transfer(0);
}

function readSource() {
  try {
    const bytes = fs.readFileSync(filename);
    // The build sees to it that each byte is a character.
    const source = bytes.latin1Slice();
    release(bytes);
    return source;
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
    process.stderr.write("vestibule is not built: run `npm run build`.\n");
    process.exit(1);
  }
}

/** What the names of all that is kept of a program begin with. */
const ofProgram = `${program}-`;

/** And of a script: V8 asks for the same one, its own version and its flags. */
function toName(source) {
  // The build has put it there.
  const [, hash] = /^\/\*(\w{64})\*\//.exec(source);
  return `${ofProgram}${hash}-${v8.cachedDataVersionTag()}`;
}

/** What was kept; undefined when that is nothing, or not what was written. V8 does not look, and would run it. */
function readKept(name) {
  try {
    const bytes = fs.readFileSync(path.join(folder, name));
    const kept = bytes.subarray(0, -4);
    return crc32(kept) === bytes.readUInt32BE(kept.length) ? kept : undefined;
  } catch {
    return undefined;
  }
}

/** Keeps what is compiled by now, instead of what was kept of other builds. Takes some 30 ms, once. */
function keep(script, name) {
  try {
    fs.mkdirSync(folder, { mode: 0o700, recursive: true });
    writeWhole(path.join(folder, name), () => compiledNow(script));
    const [, hash] = name.split("-");
    const isOlder = (other) => other.startsWith(ofProgram) && !other.startsWith(`${ofProgram}${hash}-`);
    for (const other of fs.readdirSync(folder).filter(isOlder))
      fs.rmSync(path.join(folder, other), { recursive: true });
  } catch {
    // The next start takes as long as this one.
  }
}

/** Writes what is asked for, with its checksum, beside the file's name first; all of it or nothing. */
function writeWhole(file, compile) {
  const temporary = `${file}.${process.pid}`;
  try {
    // First, since where nothing can be written there is no reason to ask.
    fs.writeFileSync(temporary, "", { mode: 0o600 });
    const compiled = compile();
    const checksum = Buffer.alloc(4);
    checksum.writeUInt32BE(crc32(compiled));
    for (const bytes of [compiled, checksum]) fs.appendFileSync(temporary, bytes);
    // A damaged one may be anything.
    fs.rmSync(file, { recursive: true, force: true });
    fs.renameSync(temporary, file);
  } finally {
    // On a disk that is full each start would leave one.
    fs.rmSync(temporary, { force: true });
  }
}

/** V8 takes it only with the flags that it was made with, and a start begins without the compilers. */
function compiledNow(script) {
  setCompilers("no-");
  try {
    return script.createCachedData();
  } finally {
    if (areOptimising) setCompilers("");
  }
}

function run() {
  const source = readSource();
  const name = toName(source);
  // A server's is good for other commands too, where there is one.
  const names = { server: `${name}-server`, command: `${name}-command` };
  const ofServer = readKept(names.server);
  const cachedData = ofServer ?? readKept(names.command);
  const script = new vm.Script(source, {
    filename,
    cachedData,
    importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  const isTaken = cachedData !== undefined && !script.cachedDataRejected;
  const isKept = { server: isTaken && ofServer !== undefined, command: isTaken };
  channels.subscribe("vestibule.compiled", (kind) => {
    if (!isKept[kind]) keep(script, names[kind]);
  });
  if (cachedData !== undefined) release(cachedData);
  script.runInThisContext()(createRequire(filename), pathToFileURL(filename).href);
}

run();
