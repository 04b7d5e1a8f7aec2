package main

import "regexp"

// An example stands between two comments, which name its RPC.
var exampleBlock = regexp.MustCompile(`(?s)<!-- example: ([\w.]+) -->\n(.*?)<!-- end of example -->\n`)

// readExamples returns the examples of a page by RPC.
func readExamples(page string) map[string]string {
	examples := map[string]string{}
	for _, match := range exampleBlock.FindAllStringSubmatch(page, -1) {
		examples[match[1]] = match[2]
	}
	return examples
}
