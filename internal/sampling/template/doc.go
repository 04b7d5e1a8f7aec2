// Package template tells log records apart by what the program that wrote them
// printed in any case: its template. "connected to 10.0.0.7 in 3ms" and
// "connected to 10.0.0.9 in 8ms" are both "connected to <*> in <*>".
//
// A template is found by a mask: what looks like a value is replaced by <*>, the
// rest stays. The mask looks at one message at a time and remembers nothing, so
// collectors that do not know one another, and the same one after a restart, find
// the same templates, in whatever order records come. docs/adr/0016-log-templates.md
// compares it with Drain, which learns templates from the stream.
//
// # What is a value
//
//   - a word with a digit: numbers, durations, dates, addresses, UUIDs, hex, versions;
//   - a path, a URL, an e-mail address, a name of a host with a well-known last label,
//     a word of hexadecimal letters only of 8 or more bytes, any word of more than 64
//     bytes, the name of a month or a day of the week, the word after "user";
//   - what stands in quotes, unless it is the message of a structured line: at its
//     beginning, after "] ", or as the value of a key that says what happened
//     (msg, message, event, err, error, reason);
//   - the value in key=value and in "key": value.
//
// Values in a row are one, whatever of blanks, commas and colons is between them, so
// lists of different length are alike. Runs of blanks and line ends are one blank.
//
// A bare word that varies, such as a user's name in "user alice logged in", cannot
// be told from one that does not. Each makes a template.
//
// # Bounds
//
// Of a message the first 1,024 bytes are looked at, and a template ends after 256.
package template
