package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/stream"
)

// Checkpoint is a checkpoint that is being written. Until Commit the one before
// stays valid.
type Checkpoint struct {
	store   *Store
	head    head // its generation is 0 until something is written
	entries encoder
	bytes   int
	err     error
	done    bool
}

var (
	errDone  = errors.New("the checkpoint was committed, aborted or replaced by another")
	errOwner = errors.New("the owner of an output is not a stream of its kind")
)

// Begin begins a checkpoint at a time. Extra is kept with it; it should be
// small. A checkpoint that was begun before and is not committed is aborted.
//
// No flush may happen between the snapshot that the parts are of and Commit.
func (s *Store) Begin(id Identity, extra []byte, now uint64) *Checkpoint {
	c := &Checkpoint{store: s}
	c.head = head{identity: id, taken: now, extra: bytes.Clone(extra)}
	if s.open != nil {
		s.open.done = true
		if s.doubt == nil {
			s.known.abort()
		}
	}
	s.forgetFresh()
	s.open = c
	if !s.loaded {
		c.err = errNotLoaded
	}
	c.entries.begin(headerSize)
	return c
}

// Part adds a part. It keeps nothing of it. Parts are cut and joined to records
// of about 1 MiB, which are written as soon as they are full.
func (c *Checkpoint) Part(ctx context.Context, p *consolidation.Part) error {
	if c.err == nil {
		c.err = c.prepare(ctx)
	}
	if c.err == nil {
		c.err = c.part(ctx, p)
	}
	return c.err
}

// prepare finds the place, when it is certain which checkpoint is valid.
func (c *Checkpoint) prepare(ctx context.Context) error {
	s := c.store
	switch {
	case c.done:
		return errDone
	case c.head.generation != 0:
		return nil
	}
	if err := s.resolve(ctx); err != nil {
		return err
	}
	// Later than all before, also than those of a state that could not be read.
	c.head.generation = max(s.head.generation+1, c.head.taken)
	if s.head.generation != 0 {
		c.head.slot = 1 - s.head.slot
	}
	return nil
}

func (c *Checkpoint) part(ctx context.Context, p *consolidation.Part) error {
	e := &c.entries
	e.edge(p.Edge)
	for rule, since := range p.Rules {
		e.watch(rule, since)
	}
	e.forgotten(p.InputsForgotten, p.OutputsForgotten)
	e.crash(p.Crash, p.Complete)
	// Outputs first: inputs find what they feed when they are restored.
	for i := range p.Outputs {
		if err := c.output(&p.Outputs[i]); err != nil {
			return err
		}
		if err := c.write(ctx, targetSize); err != nil {
			return err
		}
	}
	for i := range p.Inputs {
		e.input(&p.Inputs[i])
		if err := c.write(ctx, targetSize); err != nil {
			return err
		}
	}
	for _, gone := range []struct {
		entry byte
		list  []consolidation.Tombstone
	}{{inputGoneEntry, p.InputsGone}, {outputGoneEntry, p.OutputsGone}} {
		for _, t := range gone.list {
			e.gone(gone.entry, t)
			if err := c.write(ctx, targetSize); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Checkpoint) output(o *consolidation.OutputState) error {
	s, ok := o.Owner.(*stream.Stream)
	if !ok || s == nil || s.Metric.Kind != o.Kind {
		return fmt.Errorf("output %x of kind %s: %w", o.Key, o.Kind, errOwner)
	}
	c.entries.output(o, s)
	c.store.known.add(reference{o.Key, o.Variant, o.Rule}.id(), o.Kind, markNext)
	return nil
}

// write writes the record if it is that large.
func (c *Checkpoint) write(ctx context.Context, size int) error {
	e := &c.entries
	if len(e.buf) < size || e.entries == 0 {
		return nil
	}
	i := len(c.head.parts)
	record, sum := seal(e.buf, header{partRecord, c.head.generation, uint32(i)}) //nolint:gosec // far below
	kept := &c.store.kept[c.head.slot]
	kept.parts = max(kept.parts, i+1) // also if it fails: nobody knows what is there then
	if err := c.store.kv.Set(ctx, keyOf(partKeys, c.head.slot, i), record); err != nil {
		return fmt.Errorf("write %s: %w", keyOf(partKeys, c.head.slot, i), err)
	}
	c.head.parts = append(c.head.parts, sum)
	c.bytes += len(record)
	e.begin(headerSize)
	return nil
}

// Commit makes the checkpoint the valid one and returns its size. What belongs
// to the one before is deleted. If it fails the one before stays valid.
func (c *Checkpoint) Commit(ctx context.Context) (size int, err error) {
	if err = c.Part(ctx, &consolidation.Part{}); err == nil {
		err = c.write(ctx, 0)
	}
	if err != nil {
		c.err = err
		return 0, err
	}
	s := c.store
	record := c.head.encode()
	s.doubt = &proposal{c.head, record}
	if err = s.kv.Set(ctx, headKey, record); err != nil {
		c.err = fmt.Errorf("write %s: %w", headKey, err)
		// It may be there all the same.
		if s.resolve(ctx) != nil || s.head.generation != c.head.generation {
			return 0, c.err
		}
	} else {
		s.adopt(ctx)
	}
	c.done, s.open = true, nil
	return c.bytes + len(record), nil
}

// Abort gives a checkpoint up and deletes what was written of it. After Commit
// it does nothing.
func (c *Checkpoint) Abort(ctx context.Context) {
	if c.done {
		return
	}
	c.done = true
	s := c.store
	if s.open == c {
		s.open = nil
	}
	if s.resolve(ctx) != nil {
		return // it may be valid
	}
	if c.head.generation != 0 && c.head.generation != s.head.generation {
		s.known.abort()
		_ = s.shrink(ctx, keysOf(partKeys, c.head.slot), &s.kept[c.head.slot].parts, 0) // see sweep
	}
}
