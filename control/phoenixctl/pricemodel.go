package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/phoenix-platform/phoenix/control/api/client"
	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/phoenixctl/internal/manifest"
)

func newPriceModelsCommand() *cobra.Command {
	return family("models", "Keep price lists, and choose the one that costs are priced by",
		newModelsListCommand(), newModelsGetCommand(), newModelsSetCommand(), newModelsUseCommand(), newModelsDeleteCommand())
}

func modelNames(ctx context.Context, _ *cobra.Command, c *client.Client, _ string) ([]string, error) {
	list, err := c.ListPriceModels(ctx, &pb.ListPriceModelsRequest{PageSize: maxCompletions})
	var found []string
	for _, m := range list.GetPriceModels() {
		found = append(found, m.GetName())
	}
	return found, err
}

func newModelsListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List price models; * marks the one in use",
		Args:  usage(cobra.NoArgs),
	}
	o := outputFlag(cmd, outputTable, outputJSON, outputYAML, outputName)
	cmd.RunE = ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, _ []string) error {
		list, _, err := pages(0, func(size uint32, token string) ([]*pb.PriceModel, string, error) {
			page, err := c.ListPriceModels(ctx, &pb.ListPriceModelsRequest{PageSize: size, PageToken: token})
			return page.GetPriceModels(), page.GetNextPageToken(), err
		})
		if err != nil {
			return err
		}
		return o.print(cmd.OutOrStdout(), &pb.ListPriceModelsResponse{PriceModels: list}, func(w io.Writer) error {
			if o.value == outputName {
				for _, m := range list {
					_, _ = fmt.Fprintln(w, printable(m.GetName()))
				}
				return nil
			}
			return modelTable(list).print(w)
		})
	})
	return cmd
}

func modelTable(list []*pb.PriceModel) *table {
	t := &table{columns: []column{{" ", false}, {"NAME", false}, {"CURRENCY", false}, {"EFFECTIVE", false}, {"COMPONENTS", true}, {"ORIGIN", false}, {"SOURCE", false}}}
	for _, m := range list {
		mark, origin := " ", "yours"
		if m.GetActive() {
			mark = "*"
		}
		if m.GetPreset() {
			origin = "preset"
		}
		t.add(mark, m.GetName(), m.GetCurrency(), orNone(m.GetEffective()), count(len(m.GetComponents())), origin, orNone(m.GetSource().GetName()))
	}
	return t
}

func newModelsGetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "get NAME",
		Short:             "Print a price model, to be edited and given to set",
		Args:              usage(cobra.ExactArgs(1)),
		ValidArgsFunction: firstOnly(modelNames),
	}
	o := outputFlag(cmd, outputYAML, outputJSON)
	cmd.RunE = ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, args []string) error {
		m, err := c.GetPriceModel(ctx, &pb.GetPriceModelRequest{Name: args[0]})
		if err != nil {
			return fmt.Errorf("get the price model %s: %w", args[0], err)
		}
		return printMessage(cmd.OutOrStdout(), m, o.value)
	})
	return cmd
}

func newModelsSetCommand() *cobra.Command {
	var (
		files     []string
		recursive bool
		use       bool
	)
	cmd := &cobra.Command{
		Use:   "set -f FILE…",
		Short: "Create or replace price models as files say",
		Long: "set reads price models from YAML or JSON files. Prices need no quotes:\n\n" +
			"  name: ours\n" +
			"  currency: USD\n" +
			"  components:\n" +
			"    - {name: active series, kind: active_series, price: 6.50, per: 1000}",
		Example: "  phoenixctl costs models set -f price-model.yaml --use",
		Args:    usage(cobra.NoArgs),
	}
	fileFlags(cmd, &files, &recursive)
	cmd.Flags().BoolVar(&use, "use", false, "price by the model from now on; of several by the last one")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		documents, err := readFiles(cmd, files, recursive)
		if err != nil {
			return err
		}
		models, err := readModels(documents)
		if err != nil {
			return err
		}
		return ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, _ []string) error {
			for i, m := range models {
				if err := setModel(ctx, cmd.OutOrStdout(), c, m); err != nil {
					return located(fmt.Errorf("set the price model %s: %w", m.GetName(), err), documents[i], "price_model.", "")
				}
			}
			if !use {
				return nil
			}
			return useModel(ctx, cmd.OutOrStdout(), c, models[len(models)-1].GetName())
		})(cmd, args)
	}
	return cmd
}

func readModels(documents []manifest.Document) ([]*pb.PriceModel, error) {
	var (
		models   []*pb.PriceModel
		mistakes manifest.Mistakes
	)
	for _, d := range documents {
		m := &pb.PriceModel{}
		var err error
		if d.Has("spec") && !d.Has("components") {
			err = manifest.Mistakes{{File: d.File, Line: d.Line, Problem: "this is a policy: phoenixctl policies apply -f " + d.File}}
		} else if err = d.Into(m); err == nil && m.GetName() == "" {
			err = manifest.Mistakes{{File: d.File, Line: d.LineOf("name"), Field: "name", Problem: "must not be empty"}}
		}
		if wrong, ok := errors.AsType[manifest.Mistakes](err); ok {
			mistakes = append(mistakes, wrong...)
			continue
		}
		models = append(models, m)
	}
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	return models, nil
}

func setModel(ctx context.Context, w io.Writer, c *client.Client, m *pb.PriceModel) error {
	present, err := c.GetPriceModel(ctx, &pb.GetPriceModelRequest{Name: m.GetName()})
	if err != nil && !isNotFound(err) {
		return err
	}
	var opts []grpc.CallOption
	if m.GetEtag() != "" {
		opts = append(opts, client.IfMatch(m.GetEtag()))
	}
	// What the server sets is not sent back to it.
	m.Etag, m.Active, m.Preset, m.UpdatedAt, m.UpdatedBy = "", false, false, nil, ""
	stored, err := c.PutPriceModel(ctx, &pb.PutPriceModelRequest{PriceModel: m}, opts...)
	if err != nil {
		return err
	}
	word := "updated"
	switch {
	case present == nil || present.GetPreset():
		word = "created"
	case present.GetEtag() == stored.GetEtag():
		word = "unchanged"
	}
	_, err = fmt.Fprintf(w, "price model %s %s\n", printable(m.GetName()), word)
	return err
}

func useModel(ctx context.Context, w io.Writer, c *client.Client, name string) error {
	m, err := c.ActivatePriceModel(ctx, &pb.ActivatePriceModelRequest{Name: name})
	if err != nil {
		return fmt.Errorf("use the price model %s: %w", name, err)
	}
	_, err = fmt.Fprintf(w, "costs are priced by %s in %s\n", printable(m.GetName()), printable(m.GetCurrency()))
	return err
}

func newModelsUseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "use NAME",
		Short:             "Price costs and savings by a model from now on",
		Args:              usage(cobra.ExactArgs(1)),
		ValidArgsFunction: firstOnly(modelNames),
	}
	cmd.RunE = ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, args []string) error {
		return useModel(ctx, cmd.OutOrStdout(), c, args[0])
	})
	return cmd
}

func newModelsDeleteCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "delete NAME",
		Short:             "Delete a price model that is not in use",
		Args:              usage(cobra.ExactArgs(1)),
		ValidArgsFunction: firstOnly(modelNames),
	}
	cmd.RunE = ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, args []string) error {
		if _, err := c.DeletePriceModel(ctx, &pb.DeletePriceModelRequest{Name: args[0]}); err != nil {
			return fmt.Errorf("delete the price model %s: %w", args[0], err)
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "price model %s deleted\n", printable(args[0]))
		return err
	})
	return cmd
}
