// Package webhook tells other systems of events by HTTP. Each request is signed
// as the Standard Webhooks specification has it (standardwebhooks.com, version
// 1), for which most languages have a library that verifies it:
//
//	webhook-id         the same in every attempt, so that a receiver can leave out what it has
//	webhook-timestamp  seconds since 1970, of this attempt
//	webhook-signature  v1,base64(HMAC-SHA256(secret, id + "." + timestamp + "." + body))
//
// A secret that begins with whsec_ is base64 behind that; any other is taken as
// it is.
package webhook
