import { CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createKmsSigner } from '../../../adapters/aws/kms-signer.ts';
import { bundleSignerContract } from '../../contracts/bundle-signer.ts';
import { describeWith } from '../../tools/machine.ts';
import { type Moto, motoClient, startMoto } from '../../tools/moto.ts';

describeWith(['moto_server'], 'KMS', () => {
  let moto: Moto;
  let client: KMSClient;
  beforeAll(async () => {
    moto = await startMoto();
    client = new KMSClient({ ...motoClient(moto.url), maxAttempts: 1 });
  });
  afterAll(async () => {
    client?.destroy();
    await moto?.stop();
  });

  const makeKey = async (spec: 'ECC_NIST_P256' | 'ECC_NIST_P384' | 'RSA_2048'): Promise<string> => {
    const made = await client.send(new CreateKeyCommand({ KeySpec: spec, KeyUsage: 'SIGN_VERIFY' }));
    return made.KeyMetadata?.KeyId ?? '';
  };

  bundleSignerContract('KMS', async () => {
    const keyId = await makeKey('ECC_NIST_P256');
    return { open: () => createKmsSigner({ client, keyId }) };
  });

  test.each(['ECC_NIST_P384', 'RSA_2048'] as const)('a key of %s is refused by its id', async (spec) => {
    const keyId = await makeKey(spec);
    await expect(createKmsSigner({ client, keyId }).publicKey()).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringContaining(keyId),
    });
  });

  test('asks for the public key once, unless the first answer failed', async () => {
    const keyId = await makeKey('ECC_NIST_P256');
    const asked: string[] = [];
    let fail = true;
    const counting = new KMSClient({ ...motoClient(moto.url), maxAttempts: 1 });
    counting.middlewareStack.add(
      (next, context) => async (args) => {
        asked.push(String(context.commandName));
        if (fail) throw Object.assign(new Error('slow down'), { name: 'ThrottlingException' });
        return next(args);
      },
      { step: 'initialize' },
    );
    const signer = createKmsSigner({ client: counting, keyId });
    await expect(signer.publicKey()).rejects.toMatchObject({ code: 'throttled', retry: 'later' });
    fail = false;
    await Promise.all([signer.publicKey(), signer.publicKey()]);
    await signer.publicKey();
    expect(asked).toEqual(['GetPublicKeyCommand', 'GetPublicKeyCommand']);
    counting.destroy();
  });

  test('a key that is not there is not found', async () => {
    const signer = createKmsSigner({ client, keyId: '00000000-0000-4000-8000-000000000000' });
    await expect(signer.publicKey()).rejects.toMatchObject({ code: 'not-found' });
    await expect(signer.sign(new Uint8Array(1))).rejects.toMatchObject({ code: 'not-found' });
  });
});
