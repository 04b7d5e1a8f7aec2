// Package store says what the control plane keeps and how it is asked for:
// policies with their revisions, experiments, price models, API keys, answers to
// repeated requests, the history of cost and cardinality, facts about the
// installation, and the audit log that holds who changed what. It has value types, one
// interface in small parts, and the arithmetic of the audit log; it imports only
// the standard library. The engines are in the packages sqlite and postgres;
// storetest holds the tests that both pass.
//
// # Writing
//
// Everything that people change is changed within Store.Write: one transaction,
// in which each change appends its entry to the audit log. When Write returns
// nil all of it is on disk; otherwise nothing of it is, unless the error wraps
// ErrUncertain. There is one writer at a time, so that a decision which reads
// through the Tx and then writes is not overtaken:
//
//	err := s.Write(ctx, func(ctx context.Context, tx store.Tx) error {
//		answer, err := tx.GetResponse(ctx, key, requestHash) // has this been done?
//		if err == nil || !errors.Is(err, store.ErrNotFound) {
//			return err
//		}
//		policy, err := tx.CreatePolicy(ctx, store.NewPolicy{…}, entry)
//		if err != nil {
//			return err
//		}
//		return tx.SaveResponse(ctx, answerTo(policy))
//	})
//
// # Times and text
//
// Times have microseconds and are in UTC; the zero time.Time means none. Names
// are compared byte by byte. Text is UTF-8 without NUL.
package store
