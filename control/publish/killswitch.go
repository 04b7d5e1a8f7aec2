package publish

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// KillState says whether all policies are off.
type KillState struct {
	Engaged bool
	// Source is what engaged it: api, file or both; empty if it is released.
	Source string
	// Reason, At and By are why, when and by whom it was last turned; of the file
	// its first line, the time of its last change, and the word file.
	Reason string
	At     time.Time
	By     string
}

// What may engage the kill switch.
const (
	KilledByAPI  = "api"
	KilledByFile = "file"
	KilledByBoth = "both"
)

// maxReason bounds what is read of the file.
const maxReason = 512

// killFile is the state of the file.
type killFile struct {
	there  bool
	reason string
	at     time.Time
	size   int64
}

// killState is the state of both. The caller has mu.
func (p *Publisher) killState() KillState {
	api, file := p.content.kill, p.file
	k := KillState{Engaged: api.On || file.there, Reason: api.Reason, At: api.At, By: api.By}
	switch {
	case api.On && file.there:
		k.Source = KilledByBoth
		if file.reason != "" {
			k.Reason += "; " + KilledByFile + ": " + file.reason
		}
	case api.On:
		k.Source = KilledByAPI
	case file.there:
		k = KillState{Engaged: true, Source: KilledByFile, Reason: file.reason, At: file.at, By: KilledByFile}
	}
	return k
}

// readKillFile looks at the file; last spares reading one that did not change.
// Whatever has the name engages the switch, also a directory or a link to
// nowhere.
func readKillFile(path string, last killFile) (killFile, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return killFile{}, nil
	}
	if err != nil {
		return last, err
	}
	f := killFile{there: true, at: info.ModTime(), size: info.Size()}
	if last.there && last.at.Equal(f.at) && last.size == f.size {
		return last, nil
	}
	if info.Mode().IsRegular() { // a pipe would wait for somebody who writes
		f.reason = firstLine(path)
	}
	return f, nil
}

// firstLine is the first line of a file, as far as it can be read.
func firstLine(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxReason))
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(strings.ToValidUTF8(strings.ReplaceAll(line, "\x00", ""), ""))
}

// lookAtFile publishes if the file came or went.
func (p *Publisher) lookAtFile() error {
	if p.settings.KillFile == "" {
		return nil
	}
	p.mu.Lock()
	last := p.file
	p.mu.Unlock() // only this loop writes it
	file, err := readKillFile(p.settings.KillFile, last)
	if err != nil || file == last {
		return err
	}
	p.mu.Lock()
	p.file = file
	turned := file.there != last.there
	// If the API holds the switch the file makes no difference to the rules. A
	// file that goes before the store was read leaves what is not known.
	fresh := turned && !p.content.kill.On && (file.there || p.content.known)
	status, fresh := p.publish(fresh)
	p.mu.Unlock()
	p.tell(fresh, status)
	if turned {
		p.turned(file, status.Kill)
	}
	return nil
}

func (p *Publisher) turned(file killFile, state KillState) {
	if file.there {
		p.settings.Logger.Warn("The kill switch is engaged by its file, all policies are off; remove the file to release it",
			zap.String("file", p.settings.KillFile), zap.String("reason", file.reason))
	} else {
		p.settings.Logger.Info("The file of the kill switch is gone", zap.Bool("engaged", state.Engaged))
	}
	if p.settings.OnKillFile != nil {
		p.settings.OnKillFile(state)
	}
}

// Run follows the store and the file until ctx ends.
func (p *Publisher) Run(ctx context.Context) {
	var both sync.WaitGroup
	defer both.Wait()
	both.Go(func() { p.followFile(ctx) }) // apart: a store that hangs does not hold up the file
	tick := time.NewTicker(p.settings.Poll)
	defer tick.Stop()
	for {
		_ = p.Refresh(ctx) // it told whom it concerns, and is repeated
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-p.wake:
		}
	}
}

func (p *Publisher) followFile(ctx context.Context) {
	tick := time.NewTicker(p.settings.Poll)
	defer tick.Stop()
	failed := false
	for {
		err := p.lookAtFile()
		if err != nil && !failed {
			p.settings.Logger.Warn("The file of the kill switch cannot be looked at, its last state stays",
				zap.String("file", p.settings.KillFile), zap.Error(err))
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
