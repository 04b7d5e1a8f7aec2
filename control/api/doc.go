// Package api is the transport of the control plane: gRPC and REST on one port,
// from one proto. It recognises who asks (control/access), bounds how often, how
// much and how long, decodes strictly, and calls the services, which decide who
// may do what and answer with messages or faults (package fault). It knows no
// store.
//
//	          request id, security headers
//	          Host, Origin                    421, 403
//	          who asks                        401
//	          how often                       429
//	  gRPC  ╱                                ╲  REST
//	grpc.Server.ServeHTTP                     the mux of grpc-gateway: path → RPC
//	unknown fields refused                    JSON, query, path → message, strictly
//	          ╲                               ╱
//	            invoke: panics, faults, time
//	                     service
package api
