package admin

import (
	"context"
	"math"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/store"
)

// system implements the service System.
type system struct {
	phoenixv1.UnimplementedSystemServer
	core      *service.Core
	publisher Publisher
	kill      *KillSwitch
	settings  SystemSettings

	// backups is held while a backup is streamed.
	backups sync.Mutex
}

// describeTime bounds how long GetSystem waits for a store that does not answer.
const describeTime = 2 * time.Second

// GetSystem says what runs and how it is. It answers also while the store does
// not.
func (s *system) GetSystem(ctx context.Context, _ *phoenixv1.GetSystemRequest) (*phoenixv1.SystemInfo, error) {
	if err := s.core.Authorize(ctx, access.Get, access.System, ""); err != nil {
		return nil, err
	}
	status := s.publisher.Status()
	return &phoenixv1.SystemInfo{
		Name: s.settings.Name, Version: s.settings.Version, InstanceId: s.settings.Instance,
		StartedAt: timestamp(s.settings.StartedAt), ConfigSha256: s.settings.ConfigSHA256(), Ready: s.settings.Ready(),
		Components: s.settings.Components(ctx), Store: s.describe(ctx), KillSwitch: wireKill(status.Kill),
		PolicyVersion: float64(status.Version), PolicyRules: uint32(min(uint64(max(0, status.Rules+status.Sampling)), math.MaxUint32)), PublishedAt: timestamp(status.PublishedAt),
		Exposure: string(s.settings.Exposure), Runtime: strings.Join([]string{runtime.Version(), runtime.GOOS, runtime.GOARCH}, " "),
	}, nil
}

// describe asks the store how it is. The reason why it does not answer is for
// the log: it may name hosts and users.
func (s *system) describe(ctx context.Context) *phoenixv1.StoreInfo {
	ctx, cancel := context.WithTimeout(ctx, describeTime)
	defer cancel()
	d, err := s.core.Store.Describe(ctx)
	info := &phoenixv1.StoreInfo{
		Engine: d.Engine, EngineVersion: d.EngineVersion, SchemaVersion: float64(d.SchemaVersion), SizeBytes: float64(d.SizeBytes),
		Available: err == nil,
	}
	if err != nil {
		info.Problem = service.Fault(err).Error()
		s.core.Logger.Warn("The store could not be described", zap.Error(err))
	}
	return info
}

// WhoAmI says as whom the caller is known. Everybody may ask that who is
// somebody.
func (s *system) WhoAmI(ctx context.Context, _ *phoenixv1.WhoAmIRequest) (*phoenixv1.Identity, error) {
	who := call.From(ctx).Principal
	if who.Kind == "" {
		return nil, s.core.Authorize(ctx, access.Get, access.System, "")
	}
	return &phoenixv1.Identity{
		Principal: who.Name(), Kind: string(who.Kind), Display: who.Display, Grants: s.core.Guard.Grants(who).Texts(),
	}, nil
}

// GetKillSwitch says whether all hot rules are off.
func (s *system) GetKillSwitch(ctx context.Context, _ *phoenixv1.GetKillSwitchRequest) (*phoenixv1.KillSwitch, error) {
	if err := s.core.Authorize(ctx, access.Get, access.KillSwitch, ""); err != nil {
		return nil, err
	}
	return wireKill(s.publisher.Status().Kill), nil
}

// EngageKillSwitch turns all hot rules off. When it answers the data path has
// been told, whether the store answers or not.
func (s *system) EngageKillSwitch(ctx context.Context, req *phoenixv1.EngageKillSwitchRequest) (*phoenixv1.KillSwitch, error) {
	if err := s.core.Authorize(ctx, access.Engage, access.KillSwitch, ""); err != nil {
		return nil, err
	}
	if strings.TrimSpace(req.GetReason()) == "" {
		return nil, invalid("reason", "is required: say why, for those who wonder where their savings went")
	}
	if err := checkReason(req.GetReason()); err != nil {
		return nil, err
	}
	kill, err := s.kill.Engage(ctx, req.GetReason())
	if err != nil {
		return nil, err
	}
	return wireKill(kill), nil
}

// ReleaseKillSwitch turns them on again, unless the file still engages it.
func (s *system) ReleaseKillSwitch(ctx context.Context, req *phoenixv1.ReleaseKillSwitchRequest) (*phoenixv1.KillSwitch, error) {
	if err := s.core.Authorize(ctx, access.Release, access.KillSwitch, ""); err != nil {
		return nil, err
	}
	if err := checkReason(req.GetReason()); err != nil {
		return nil, err
	}
	kill, err := s.kill.Release(ctx, req.GetReason())
	if err != nil {
		return nil, err
	}
	return wireKill(kill), nil
}

func checkReason(reason string) error {
	if len(reason) > store.MaxText {
		return invalid("reason", "may have "+strconv.Itoa(store.MaxText)+" bytes, has "+strconv.Itoa(len(reason)))
	}
	return nil
}

func wireKill(k publish.KillState) *phoenixv1.KillSwitch {
	return &phoenixv1.KillSwitch{
		Engaged: k.Engaged, Source: k.Source, Reason: k.Reason, At: timestamp(k.At), By: k.By, Warnings: warnings(k),
	}
}
