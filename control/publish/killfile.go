package publish

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"
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

// same says whether nobody touched a file.
func (f killFile) same(other killFile) bool {
	return f.there && other.there && f.at.Equal(other.at) && f.size == other.size
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
	if f.same(last) {
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

// lookAtFile publishes if the file came or went. The one that this process made
// engages the next process, not this one, which knows what it is for.
func (p *Publisher) lookAtFile() error {
	if p.settings.KillFile == "" {
		return nil
	}
	p.mu.Lock()
	last, own := p.file, p.own
	made := own
	p.mu.Unlock() // only Open and the loop that follows the file write them
	seen := last
	if !seen.there {
		seen = own
	}
	file, err := readKillFile(p.settings.KillFile, seen)
	if err != nil {
		return err
	}
	if file.same(own) {
		file = killFile{}
	} else {
		own = killFile{} // somebody removed it, or made it theirs
	}
	if file == last && own == made {
		return nil
	}
	p.mu.Lock()
	p.file, p.own = file, own
	turned := file.there != last.there
	// If the API holds the switch the file makes no difference to the rules. A
	// file that goes before the store was read leaves what is not known.
	fresh := turned && (file.there || p.content.known)
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

// keepFile makes the file for a hold that is to survive a restart, and removes
// it when the hold ended or is stored.
func (p *Publisher) keepFile() error {
	if p.settings.KillFile == "" {
		return nil
	}
	p.mu.Lock()
	held, file, own := p.held, p.file, p.own
	unstored := held != nil && !held.stored
	wanted := unstored && held.keep && !own.there && !file.there
	p.mu.Unlock()
	var err error
	switch {
	case wanted:
		own, err = makeKillFile(p.settings.KillFile, held.Hold)
	case own.there && !unstored:
		own, err = removeKillFile(p.settings.KillFile, own)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.own != own {
		p.own = own
		p.publish(false)
	}
	return err
}

// makeKillFile makes the file for a hold. One that is there keeps it, too, and
// is left to whoever made it.
func makeKillFile(path string, why Hold) (killFile, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return killFile{}, nil
	}
	if err != nil {
		return killFile{}, err
	}
	// On a full disk the empty file does, too.
	_, written := fmt.Fprintf(file, "%s\nEngaged through the API by %s at %s while the store did not answer. Remove this file to release it.\n",
		strings.Join(strings.Fields(why.Reason), " "), why.By, why.At.UTC().Format(time.RFC3339))
	err = errors.Join(written, file.Sync(), file.Close())
	info, missing := os.Lstat(path)
	if missing != nil {
		return killFile{}, missing
	}
	return killFile{there: true, at: info.ModTime(), size: info.Size()}, err
}

// removeKillFile removes the file, unless it is not ours any more.
func removeKillFile(path string, own killFile) (killFile, error) {
	info, err := os.Lstat(path)
	if err == nil && own.same(killFile{there: true, at: info.ModTime(), size: info.Size()}) {
		err = os.Remove(path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return own, err
	}
	return killFile{}, nil
}
