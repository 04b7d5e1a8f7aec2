package admin

import (
	"bufio"
	"context"
	"time"

	"go.uber.org/zap"
	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/grpc"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/store"
)

// chunkBytes is how much of a backup is sent at once, backupType its type.
const (
	chunkBytes = 64 << 10
	backupType = "application/octet-stream"
)

// Backup streams all that the store holds. Who asked for it is in the audit log
// before anything leaves, and that it failed after that.
func (s *system) Backup(_ *phoenixv1.BackupRequest, stream grpc.ServerStreamingServer[httpbody.HttpBody]) error {
	ctx := stream.Context()
	if err := s.core.Authorize(ctx, access.Create, access.Backup, ""); err != nil {
		return err
	}
	if !s.backups.TryLock() {
		f := fault.New(fault.Unavailable, "another backup is running; try again when it has ended")
		f.RetryAfter = 10 * time.Second
		return f
	}
	defer s.backups.Unlock()
	entry := s.core.Entry(ctx, access.Action(access.Backup, access.Create))
	entry.Outcome, entry.Resource = store.OutcomeDone, string(access.Backup)
	if err := s.core.Change(ctx, appendEntry(entry)); err != nil {
		return err
	}
	w := bufio.NewWriterSize(chunks{stream}, chunkBytes)
	err := s.core.Store.Backup(ctx, w)
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		s.failed(ctx, entry, err)
	}
	return service.Fault(err)
}

func appendEntry(e store.Entry) func(context.Context, store.Tx) error {
	return func(ctx context.Context, tx store.Tx) error {
		_, err := tx.AppendAudit(ctx, e)
		return err
	}
}

// failed notes that a backup did not come to its end, also when its request did.
func (s *system) failed(ctx context.Context, e store.Entry, reason error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTime)
	defer cancel()
	e.Outcome = store.OutcomeFailed
	e.Detail = map[string]string{"reason": service.Fault(reason).Error()}
	if err := s.core.Change(ctx, appendEntry(e)); err != nil {
		s.core.Logger.Warn("That a backup failed could not be audited", zap.Error(err), zap.NamedError("reason", reason))
	}
}

// auditTime bounds how long that may take.
const auditTime = 5 * time.Second

// chunks sends what is written to it. The store writes at the pace of whoever
// reads.
type chunks struct {
	stream grpc.ServerStreamingServer[httpbody.HttpBody]
}

// Write implements io.Writer.
func (c chunks) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		n := min(chunkBytes, len(p)-written)
		// A copy: the transport may keep the message for a while.
		data := append([]byte(nil), p[written:written+n]...)
		if err := c.stream.Send(&httpbody.HttpBody{ContentType: backupType, Data: data}); err != nil {
			return written, err
		}
		written += n
	}
	return written, nil
}
