package org.localgrad;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.Test;

/** What a program in Java writes. */
public class FromJavaTest {
    private static final int PIXELS = 8 * 8 * 3;

    private static Samples batch(long number) {
        byte[] images = new byte[2 * PIXELS];
        for (int at = PIXELS; at < 2 * PIXELS; at++) {
            images[at] = (byte) (200 + (at + number) % 50);
        }
        return Samples.of(images, new int[] {0, 1});
    }

    @Test
    public void trainsEvaluatesAndPredicts() throws InterruptedException {
        NetworkOptions options = new NetworkOptions();
        options.setHeight(8);
        options.setWidth(8);
        options.setClasses(2);
        options.setWidths(List.of(4, 4, 8, 8));
        TrainerConfig config = new TrainerConfig();
        config.setRule("greedy");
        config.setBlocks(2);
        config.setThreads(1);
        Network network = Network.create("resnet8", options).nameClasses(List.of("dark", "bright"));
        AtomicInteger heard = new AtomicInteger();
        try (Trainer trainer = new Trainer(network, config)) {
            trainer.addListener(Runnable::run, event -> heard.incrementAndGet());
            trainer.setSource(FromJavaTest::batch);
            TrainOptions train = new TrainOptions();
            train.setUntil(Until.steps(20));
            train.setWatcher(step -> step.getNumber() < 10);
            TrainResult result = trainer.getBlocking().train(train);
            assertEquals(Reason.STOPPED, result.getReason());
            assertEquals(10, result.getSteps());
            train.setWatcher(null);
            assertEquals(Reason.DONE, trainer.getBlocking().train(train).getReason());
            assertTrue(trainer.getBlocking().evaluate(batch(0)).getAccuracy() > 0.4);
            List<Prediction> best = trainer.getBlocking().predict(batch(3)).get(1);
            assertTrue(best.get(0).getName().equals("bright") || best.get(1).getName().equals("bright"));
            trainer.pause(PauseReason.BATTERY);
            trainer.resume();
        }
        assertTrue(heard.get() >= 60);
        assertThrows(LocalgradException.Argument.class, () -> new Samples(ByteBuffer.allocate(4), new int[] {0}));
    }
}
