package cases

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// The shape that continuous integration knows from JUnit.
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		File    string        `xml:"file,attr"`
		Line    int           `xml:"line,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitFailure `xml:"failure"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes results as JUnit's XML, a test suite for each file.
func WriteJUnit(out io.Writer, results []Result) error {
	var all junitSuites
	var took time.Duration
	for _, r := range results {
		n := len(all.Suites)
		if n == 0 || all.Suites[n-1].Name != r.Case.File {
			all.Suites = append(all.Suites, junitSuite{Name: r.Case.File})
			n, took = n+1, 0
		}
		suite := &all.Suites[n-1]
		took += r.Took
		suite.Tests++
		suite.Time = seconds(took)
		one := junitCase{Name: r.Case.Name, Class: r.Case.domain, File: r.Case.File, Line: r.Case.Line, Time: seconds(r.Took)}
		if r.Failed != "" {
			suite.Failures++
			one.Failure = &junitFailure{r.Failed, strings.Join(r.Lines, "\n")}
		}
		suite.Cases = append(suite.Cases, one)
	}
	text, err := xml.MarshalIndent(all, "", "  ")
	if err == nil {
		_, err = fmt.Fprintf(out, "%s%s\n", xml.Header, text)
	}
	if err != nil {
		return fmt.Errorf("write JUnit's XML: %w", err)
	}
	return nil
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 6, 64) }
