/** What is known to be wrong, told apart from what is new. An entry leaves together with its fault. */
const KNOWN_FINDINGS: readonly { target: string; what: RegExp }[] = [
  // readPublishAck, readMessageIdAck: an answer that is no JSON, or JSON of another shape.
  { target: 'acknowledgements', what: /^SyntaxError.*jetstream-errors/s },
  { target: 'acknowledgements', what: /^TypeError.*jetstream-errors/s },
  { target: 'acknowledgements', what: /^the sequence of a publish is none/ },
  // logMessage: takes what no agent wrote.
  { target: 'stored messages', what: /^the (?:state is no object|version is none|lease ends at no time)/ },
  // readRecent: takes outcomes that are no JSON, numbers that are none, and control characters.
  { target: 'stored messages', what: /^(?:a recent commit is none|SyntaxError.*core\/recent)/s },
  { target: 'recent commits', what: /^(?:the text is no header line|SyntaxError.*core\/recent)/s },
  // The reader of an entity hands on a description that is no text.
  { target: 'reads', what: /^no reason/ },
  // liveEvent: states, versions and sequences of any type; a watch remembers such a sequence.
  { target: 'live events', what: /^the (?:state is no|data is no|version is none|sequence is none|payload is no)/ },
  // queryResult: throws what is not the error `protocol`.
  { target: 'answers', what: /^SyntaxError.*client\/reply/s },
];

export function isKnown({ target, what }: { target: string; what: string }): boolean {
  return KNOWN_FINDINGS.some((known) => known.target === target && known.what.test(what));
}
