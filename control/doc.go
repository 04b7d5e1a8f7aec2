// Package control joins the parts of the control plane. A Plane is hosted by
// the phoenix_control extension; data path components find the extension and
// talk to it through control/report, never through this package.
package control
