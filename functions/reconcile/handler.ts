// Works on units from the queue. One that fails comes back alone: the others of its batch are done.
// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html (partial batch responses)
import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { parseUnit } from '../../contract/unit.ts';
import { describe } from '../../core/errors.ts';
import { workOn } from '../../engine/tick.ts';
import { sayTrouble } from '../say.ts';
import { lazily, metered, wire } from '../wire.ts';

const world = lazily(() => wire(process.env));

export const handler = async (event: SQSEvent): Promise<SQSBatchResponse> => {
  const batchItemFailures: SQSBatchResponse['batchItemFailures'] = [];
  for (const { messageId, body } of event.Records) {
    try {
      await metered(world(), () => workOn(world(), parseUnit(body)));
    } catch (error) {
      sayTrouble(describe(error), { unit: body.slice(0, 500) });
      batchItemFailures.push({ itemIdentifier: messageId });
    }
  }
  return { batchItemFailures };
};
