/**
 * Work that waits for nothing most of the time, as what it asks for is in
 * memory: its answer is there at once then, where a promise would cost more
 * than the work.
 */

/** What is there at once, or comes. */
export type Soon<T> = T | Promise<T>;

/** Does such work. What it throws comes as a rejection, so that whoever asks has one kind of failure to expect. */
export function atOnce<T>(work: () => Soon<T>): Soon<T> {
  try {
    return work();
  } catch (error) {
    return Promise.reject(error);
  }
}

/** Goes on with what such work answers. */
export function andThen<T, U>(answer: Soon<T>, next: (value: T) => Soon<U>): Soon<U> {
  return answer instanceof Promise ? answer.then(next) : next(answer);
}
