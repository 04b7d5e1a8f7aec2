// Package docs holds documents and no code. Its tests run the examples of the
// API reference against a control plane with real processors.
package docs
