/**
 * How far a long command is: a bar that is drawn over on a terminal, a line
 * now and then elsewhere, where logs are read.
 */
import type { CommandContext } from "./command.ts";

/** Told how much is done; {@link end} leaves the terminal's line to what comes next. */
export interface Progress {
  update(done: number, all: number): void;
  end(): void;
}

/** How often there is something to see, in milliseconds: on a terminal, and in a log. */
const [redrawMs, lineMs] = [200, 10_000];

const barWidth = 24;

/** @param what what counts: `rows` */
export function showProgress({ isTty, write, clock }: CommandContext, what: string): Progress {
  const beganMs = clock.now().getTime();
  let shownMs = isTty ? 0 : beganMs;
  let isDrawn = false;
  return {
    update(done, all) {
      const nowMs = clock.now().getTime();
      if (nowMs - shownMs < (isTty ? redrawMs : lineMs)) return;
      shownMs = nowMs;
      const text = describe({ done, all, seconds: (nowMs - beganMs) / 1000 }, what);
      write(isTty ? `\r\u001b[K${drawBar(done / Math.max(all, done, 1))} ${text}` : `${text}\n`);
      isDrawn = isTty;
    },
    end() {
      if (isDrawn) write("\r\u001b[K");
    },
  };
}

function drawBar(part: number): string {
  const full = Math.round(part * barWidth);
  return `[${"#".repeat(full)}${".".repeat(barWidth - full)}]`;
}

/** `120 000 of 1 000 000 rows (12 %), 45 000/s, 20 s left`. */
function describe(
  { done, all, seconds }: { readonly done: number; readonly all: number; readonly seconds: number },
  what: string,
): string {
  const whole = Math.max(all, done);
  const rate = seconds > 0 ? done / seconds : 0;
  const left = rate > 0 ? `, ${toNumber(rate)}/s, ${toTime((whole - done) / rate)} left` : "";
  const percent = whole > 0 ? Math.floor((100 * done) / whole) : 100;
  return `${toNumber(done)} of ${toNumber(whole)} ${what} (${percent} %)${left}`;
}

/** Digits in threes. */
export function toNumber(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(?:\d{3})+$)/g, " ");
}

function toTime(seconds: number): string {
  const whole = Math.ceil(seconds);
  return whole < 100 ? `${whole} s` : `${Math.ceil(whole / 60)} min`;
}
