package drover_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	drover "github.com/drover-dev/drover/client-sdk/go"
)

type Mail struct {
	To      string `json:"to"`
	Subject string `json:"subject"`
}

type Receipt struct {
	MessageID string `json:"message_id"`
}

func Example() {
	client, err := drover.New(drover.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	submitted, err := client.Submit(ctx, "mail.send", Mail{To: "ada@example.org", Subject: "Hello"})
	if err != nil {
		log.Fatal(err)
	}
	receipt, err := drover.Result[Receipt](ctx, client, submitted.ID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(receipt.MessageID)
}

func ExampleClient_Submit() {
	client, _ := drover.New(drover.Config{})
	_, err := client.Submit(context.Background(), "mail.send", Mail{To: "ada@example.org"},
		drover.Key("welcome-4711"), // submitted twice, it is one job all the same
		drover.Queue("mail"),
		drover.Priority(9),
		drover.Delay(5*time.Minute),
		drover.MaxAttempts(5),
		drover.Backoff(time.Minute, 2, time.Hour), drover.Jitter(0),
	)
	var refused *drover.Error
	if errors.As(err, &refused) {
		for _, field := range refused.Fields {
			fmt.Println(refused.Reason, field.Name, field.Description)
		}
	}
}

func ExampleResult() {
	client, _ := drover.New(drover.Config{})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	receipt, err := drover.Result[Receipt](ctx, client, "mail.send~welcome-4711")
	var (
		failed *drover.FailedError
		late   *drover.WaitError
	)
	switch {
	case errors.As(err, &failed):
		fmt.Println(failed.Job.Failure.Type, failed.Job.Failure.Message)
	case errors.As(err, &late):
		fmt.Println("still going on:", late.ID, late.State)
	case errors.Is(err, drover.ErrJobNotFound):
		fmt.Println("nobody knows it")
	case err == nil:
		fmt.Println(receipt.MessageID)
	}
}

func ExampleClient_Watch() {
	client, _ := drover.New(drover.Config{})
	for job, err := range client.Watch(context.Background(), "mail.send~welcome-4711") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(job.State, job.Attempt, job.Progress)
	}
}
