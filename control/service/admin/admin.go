// Package admin implements the services of the API that say who may, what was
// done, what happens and what runs: APIKeys, Audit, Events and System. It also
// looks up the API keys that come with requests.
package admin

import (
	"context"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/store"
)

// Publisher is what publishes policies, and knows the kill switch. It is a
// *publish.Publisher.
type Publisher interface {
	// Refresh publishes what the store has now.
	Refresh(context.Context) error
	Status() publish.Status
	// Hold turns all policies off in this process; Unhold ends that, Stored says
	// that the store has it, and Keep waits for the file of the kill switch.
	Hold(publish.Hold) *publish.Held
	Unhold(*publish.Held)
	Stored(context.Context, *publish.Held) error
	Keep(context.Context)
}

// Settings is what the services need. All but the functions of System are
// required.
type Settings struct {
	Core *service.Core
	// APIKeys bounds how long API keys live.
	APIKeys access.APIKeysConfig
	// Keys knows the API keys of this process; it is told of those that end.
	Keys      *Keys
	Publisher Publisher
	System    SystemSettings
	// Done ends streams.
	Done <-chan struct{}
}

// SystemSettings is what GetSystem tells besides the store and the policies.
type SystemSettings struct {
	// Name and Version are those of the collector, Instance its id.
	Name, Version, Instance string
	StartedAt               time.Time
	Exposure                access.Exposure
	// ConfigSHA256 is the hash of the configuration, empty while it is not known.
	ConfigSHA256 func() string
	// Ready says whether pipelines run.
	Ready func() bool
	// Components are those that report to the control plane.
	Components func(context.Context) []*phoenixv1.ComponentInfo
}

// Services are the servers of the API that this package implements.
type Services struct {
	APIKeys phoenixv1.APIKeysServer
	Audit   phoenixv1.AuditServer
	Events  phoenixv1.EventsServer
	System  phoenixv1.SystemServer
	// KillSwitch is what System turns. Its Run must run.
	KillSwitch *KillSwitch
}

// New returns the services.
func New(s Settings) Services {
	kill := newKillSwitch(s.Core, s.Publisher)
	return Services{
		APIKeys: &apiKeys{core: s.Core, config: s.APIKeys, keys: s.Keys},
		Audit:   &audit{core: s.Core},
		Events:  &events{core: s.Core, keys: s.Keys, done: s.Done},
		System:  &system{core: s.Core, publisher: s.Publisher, kill: kill, settings: s.System},

		KillSwitch: kill,
	}
}

// page reads the paging of a list. Size 0 is the default of the store.
func page(size uint32, token string) (store.PageRequest, error) {
	if size > store.MaxPageSize {
		return store.PageRequest{}, invalid("page_size", "must be between 1 and "+strconv.Itoa(store.MaxPageSize)+
			", got "+strconv.FormatUint(uint64(size), 10))
	}
	return store.PageRequest{Size: int(size), Token: token}, nil
}

// invalid is the fault of one mistake.
func invalid(field, description string) error {
	f := fault.New(fault.Invalid, "the request is not accepted")
	f.Violations = []fault.Violation{{Field: field, Description: description}}
	return f
}

// timestamp is nil for none.
func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
