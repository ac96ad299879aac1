package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/angzarr/angzarr-kafka/config"
	"github.com/angzarr/angzarr-kafka/doctor"
	"github.com/angzarr/angzarr-kafka/snapshots"
)

const doctorHelp = `Look for what is wrong with a deployment, or will be: brokers and their settings,
topics, groups, open transactions, clocks, and whether processes reach each other.
With --config, or ANGZARR_CONFIG, of a process also its Redis and its services.

It changes nothing. Each finding that is not fine says what to do about it. The
exit status is 1 if anything is wrong; advice alone is no failure.`

const doctorExample = `  angzarr doctor --config angzarr.yaml
  angzarr doctor --brokers redpanda:9092 --quiet
  angzarr doctor -o json | jq 'select(.level == "wrong")'`

func newDoctorCommand() *cobra.Command {
	flags, quiet := &clusterFlags{}, false
	cmd := &cobra.Command{
		Use:     "doctor",
		Short:   "Look for what is wrong with a deployment, and say what to do",
		Long:    doctorHelp,
		Example: doctorExample,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cluster, err := flags.connect(cmd.Context())
			if err != nil {
				return err
			}
			options := doctor.Options{Cluster: cluster}
			if err := flags.examined(&options); err != nil {
				return err
			}
			findings, err := doctor.Examine(cmd.Context(), options)
			if err != nil {
				return unknownError{err}
			}
			return flags.printFindings(cmd, findings, quiet)
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "only what is not fine")
	return cmd
}

// examined adds what the configuration of a process names.
func (f *clusterFlags) examined(o *doctor.Options) error {
	if len(f.brokers) > 0 || f.config == "" && os.Getenv("ANGZARR_CONFIG") == "" {
		return nil
	}
	c, err := config.Load(f.config, os.Environ(), nil)
	if err != nil {
		return err
	}
	for _, b := range c.BusinessLogic {
		o.Services = append(o.Services, doctor.Service{Title: "business logic of " + b.Domain, Address: b.Address, Serves: "angzarr.BusinessLogic"})
	}
	for _, p := range c.Projectors {
		o.Services = append(o.Services, doctor.Service{Title: "projector " + p.Name, Address: p.Address, Serves: "angzarr.Projector"})
	}
	for _, s := range c.Sagas {
		o.Services = append(o.Services, doctor.Service{Title: "saga " + s.Name, Address: s.Address, Serves: "angzarr.Saga"})
	}
	if c.Snapshots.Type == config.SnapshotsRedis {
		redis, err := redisOptions(c.Snapshots)
		if err != nil {
			return err
		}
		o.Redis = &redis
	}
	switch {
	case c.Peers == nil:
	case c.Peers.Insecure:
		o.Peers = insecure.NewCredentials()
	default:
		tls, err := c.Peers.TLS.Client()
		if err != nil {
			return fmt.Errorf("peers.tls.%w", err)
		}
		o.Peers = credentials.NewTLS(tls)
	}
	return nil
}

// redisOptions says how to reach the Redis that a configuration names.
func redisOptions(c config.Snapshots) (snapshots.Options, error) {
	o := snapshots.Options{Address: c.Address, Username: c.Username, Password: c.Password.Reveal(), Cluster: c.Cluster}
	if c.TLS != nil {
		tls, err := c.TLS.Client()
		if err != nil {
			return o, fmt.Errorf("snapshots.tls.%w", err)
		}
		o.TLS = tls
	}
	return o, nil
}

// findingJSON is a finding for programs. These names are a promise.
type findingJSON struct {
	Level string `json:"level"` // fine, advice, wrong
	About string `json:"about"`
	Says  string `json:"says"`
	Do    string `json:"do,omitempty"`
}

func (f *clusterFlags) printFindings(cmd *cobra.Command, findings []doctor.Finding, quiet bool) error {
	out := json.NewEncoder(cmd.OutOrStdout())
	out.SetEscapeHTML(false)
	p, colours := printer{out: cmd.OutOrStdout()}, inkFor(cmd.OutOrStdout())
	count := make(map[doctor.Level]int)
	for _, found := range findings {
		count[found.Level]++
		switch {
		case quiet && found.Level == doctor.Fine:
		case f.output == outputJSON:
			if err := out.Encode(findingJSON{string(found.Level), found.About, found.Says, found.Do}); err != nil {
				return err
			}
		default:
			p.printf("%s  %s: %s\n", levelText(colours, found.Level), printable(found.About), printable(found.Says))
			if found.Do != "" {
				p.printf("        → %s\n", printable(found.Do))
			}
		}
	}
	if f.output != outputJSON {
		p.printf("\n%d fine, %d to think about, %d wrong\n", count[doctor.Fine], count[doctor.Advice], count[doctor.Wrong])
	}
	if count[doctor.Wrong] > 0 {
		return errors.Join(errReported, p.err)
	}
	return p.err
}

func levelText(i ink, level doctor.Level) string {
	switch text := fmt.Sprintf("%-6s", level); level {
	case doctor.Fine:
		return i.green(text)
	case doctor.Advice:
		return i.yellow(text)
	default:
		return i.red(text)
	}
}
