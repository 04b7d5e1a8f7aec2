// Command verify compares what the example's collector exported: everything as
// it came, and what adaptive_sampler let through. It shares no code with the
// sampler. It prints how much was left out and how far off five usual queries
// are, and fails if one is further off than chance or tolerance allow.
package main
